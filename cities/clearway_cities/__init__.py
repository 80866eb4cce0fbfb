"""City packs that ship with Clearway."""
