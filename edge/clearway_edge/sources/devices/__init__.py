"""Receivers and sensors on a line: their bytes, sentences and frames."""
