"""Periods, reliability, bottlenecks and anomalies (docs/methods/reliability.md)."""
