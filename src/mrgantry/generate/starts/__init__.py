"""Weights that come with mrgantry; `python -m mrgantry.workflows.heads` trains them."""
