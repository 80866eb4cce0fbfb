"""The doctor: what of an installation works, works with less, or is broken."""
