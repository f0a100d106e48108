"""One file a measure, and the list of all."""
