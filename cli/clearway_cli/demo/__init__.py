"""The demo: the whole chain on one machine, and what it found."""
