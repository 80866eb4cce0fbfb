"""The `clearway` command: the only place that knows every stage."""
