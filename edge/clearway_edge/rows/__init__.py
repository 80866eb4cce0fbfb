"""Rows of files and payloads, by a source profile, to columns of a record contract."""
