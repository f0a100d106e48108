"""Who is in a folder: the layouts that brain MR collections come in.

BIDS names everything, and so do the collections that are known by name: OASIS-1, and the
Medical Segmentation Decathlon with nnU-Net after it. Anything else is a tree of folders:
names tell sequences, and where people and visits stand is found out from the whole tree.
What was assumed stands in each visit's remarks.
"""

from mrgantry.data.subjects.alike import joining_pattern
from mrgantry.data.subjects.find import all_scans, find_subjects
from mrgantry.data.subjects.subject import Subject

__all__ = ["Subject", "all_scans", "find_subjects", "joining_pattern"]
