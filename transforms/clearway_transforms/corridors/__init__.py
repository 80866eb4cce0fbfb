"""Travel times along corridors, and test drives beside them (docs/methods/corridors.md)."""
