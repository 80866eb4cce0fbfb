"""Where records come from: files, serial lines and sockets."""
