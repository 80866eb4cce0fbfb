"""The power goes, in the middle of a function."""

from __future__ import annotations


class PowerCut(BaseException):
    """Not an Exception: nothing in the product may catch it, as nothing can catch kill -9."""
