"""The brain network: how it is trained, and how it describes images."""
