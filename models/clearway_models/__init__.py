"""Cited science: emissions, demand, charges, zones, calibration."""
