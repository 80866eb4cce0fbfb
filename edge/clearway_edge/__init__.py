"""The gateway: reads sensors and fleets, masks vehicles, loses nothing."""
