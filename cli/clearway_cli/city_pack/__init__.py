"""City packs: what is wrong with one, and a new one to fill in."""
