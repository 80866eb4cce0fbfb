"""From the log to the lake, each reading exactly once."""
