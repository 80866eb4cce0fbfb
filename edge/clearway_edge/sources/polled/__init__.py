"""Documents that a gateway asks a server or sensor for, now and then."""
