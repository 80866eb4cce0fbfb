"""Hourly air values, raw beside calibrated (docs/methods/calibration.md)."""
