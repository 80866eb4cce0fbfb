"""Closing the gateways' books: every reading is in the lake, on its way, or named as missing."""
