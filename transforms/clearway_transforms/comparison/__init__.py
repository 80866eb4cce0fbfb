"""One month against another (docs/methods/comparison.md)."""
