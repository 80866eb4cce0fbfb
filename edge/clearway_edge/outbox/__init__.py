"""Batches that wait for the log, and the books about every record."""
