"""From clean fixes to what each vehicle drove per cell and window (docs/methods/congestion.md)."""
