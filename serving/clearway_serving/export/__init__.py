"""One table as a file for other programs: what was asked for, which rows, how they are written."""
