"""Speeds of thin cells, blended with history and surroundings (docs/methods/congestion.md)."""
