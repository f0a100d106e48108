"""Weights that come with mrgantry; `python -m mrgantry.papers.heads` trains them."""
