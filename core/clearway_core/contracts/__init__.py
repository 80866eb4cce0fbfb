"""Records and tables as plain data: the only source of names, types, units and bounds."""
