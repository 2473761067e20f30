"""One module for each function that students write: its judge."""
