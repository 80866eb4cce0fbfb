"""The centre of a fleet of gateways: sites, devices, state, alarms."""
