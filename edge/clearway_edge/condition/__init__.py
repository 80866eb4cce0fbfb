"""How the gateway does: told to the lake, to systemd, to `status` and to its page."""
