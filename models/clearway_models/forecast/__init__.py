"""Speeds of the next hour: panel, features, model, test, drift and what is issued."""
