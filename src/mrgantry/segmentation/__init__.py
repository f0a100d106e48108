"""Segmentation: whether synthetic images with their label maps help a segmenter."""

from mrgantry.segmentation.experiment import segment

__all__ = ["segment"]
