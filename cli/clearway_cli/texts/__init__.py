"""How the answers of commands and DAGs read for people, by subject."""
