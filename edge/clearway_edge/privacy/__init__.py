"""What leaves the gateway names no vehicle and shows no home."""
