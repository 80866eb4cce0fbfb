"""Distances on the sphere, and H3 cells of many points and straight lines."""
