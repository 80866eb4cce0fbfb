"""Congestion and air on H3 cells: pure Polars, integer sums, one release gate."""
