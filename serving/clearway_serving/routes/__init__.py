"""One module per subject of the API, each with one function that returns its router."""
