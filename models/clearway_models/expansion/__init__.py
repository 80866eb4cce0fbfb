"""From a sample of probes to all traffic, by counts at sites that probes drove past."""
