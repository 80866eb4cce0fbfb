"""What may leave the house (docs/methods/release.md)."""
