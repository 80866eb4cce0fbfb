"""One module per group of commands; `register` hooks it into the command line."""
