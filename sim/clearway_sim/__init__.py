"""Generates the simulated demo city with SUMO; not part of what is installed."""
