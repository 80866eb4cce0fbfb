"""Recorded files by a source profile, through the same path as live readings."""
