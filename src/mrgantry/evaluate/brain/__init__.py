"""A network that knows brains: trained on simulated slices alone, shipped with the package."""
