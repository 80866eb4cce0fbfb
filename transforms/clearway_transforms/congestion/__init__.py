"""From what vehicles drove to speed, free flow and congestion (docs/methods/congestion.md)."""
