"""From GPS fixes and raw air readings to congestion and hourly air values, on Polars."""
