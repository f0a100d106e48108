"""The page of a reader study: what readers could tell, and all that a journal asks for."""

from mrgantry.pages.study.page import write_study

__all__ = ["write_study"]
