"""A network that knows brains: it was trained on simulated slices alone, and comes with its weights.

`evaluate/brain/train.py` makes the weights.
"""
