"""Placeholder until the real one is merged."""
from mrgantry.evaluate.features import Extractor
def load_extractor(name: str) -> Extractor:
    raise NotImplementedError
