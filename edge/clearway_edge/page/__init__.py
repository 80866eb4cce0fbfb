"""The gateway's own page for a phone, and its figures for Prometheus."""
