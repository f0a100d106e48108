"""Synthetic brain MR images from your own scans, and whether they are any good."""

__version__ = "0.1.0"
