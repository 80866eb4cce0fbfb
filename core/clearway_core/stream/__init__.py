"""The log between gateways and the lake: one interface, Apache Kafka or one SQLite file."""
