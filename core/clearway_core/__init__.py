"""What every stage of Clearway agrees on: contracts, the log, the lake, identity, units, time."""

__version__ = "0.1.0"
