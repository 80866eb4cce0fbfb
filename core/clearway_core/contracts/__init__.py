"""Records and tables as plain data: the single source of truth for names, types, units and bounds."""
