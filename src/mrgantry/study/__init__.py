"""The blinded reader study: readers say of each image whether it is real or synthetic."""
