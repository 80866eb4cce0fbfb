"""From the outbox to the log: merged, within a budget, urgent ones first."""
