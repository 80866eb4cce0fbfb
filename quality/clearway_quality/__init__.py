"""Great Expectations gates between the lake and everything that is published."""
