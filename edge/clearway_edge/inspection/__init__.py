"""Looking at a file never seen before: what it is, what it may mean, and what must be asked."""
