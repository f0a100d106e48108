"""A network that knows brains, trained on simulated slices alone, with its weights.

`evaluation/brain/train.py` makes the weights.
"""
