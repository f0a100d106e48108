"""Segmentation: whether synthetic images with their label maps help a segmenter."""

from mrgantry.segment.experiment import segment

__all__ = ["segment"]
