"""A network that knows brains, trained on simulated slices alone, with its weights.

`evaluate/brain/train.py` makes the weights.
"""
