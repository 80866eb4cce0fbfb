"""Checks that flag values and never change them."""
