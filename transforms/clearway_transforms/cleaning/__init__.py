"""Which fixes cannot be right, by rule (docs/methods/cleaning.md)."""
