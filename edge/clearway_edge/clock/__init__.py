"""Whether the gateway's clock can be believed, and how time is found again."""
