"""A gateway's settings: read, composed, shown without secrets, warned about."""
