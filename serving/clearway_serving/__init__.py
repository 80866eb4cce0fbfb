"""Read-only map, proposal page and exports of released values."""
