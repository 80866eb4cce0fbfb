"""From what was observed in a zone to prices, their effect, a verdict and a proposal."""
