"""The share of images that are farther out than hardly any real one is."""

from mrgantry.evaluation.brain.features import BRAIN_MAP
from mrgantry.evaluation.measures.measure import OUTLYING, Explanation, Kind, Measure


def outlying_measure() -> Measure:
    """Give the share of images that are farther out than hardly any real one is."""
    kind = Kind(
        "outlying_share",
        "lower",
        "images farther from real training ones than 99 % of these are from other subjects'",
    )
    return Measure(
        (kind,),
        BRAIN_MAP,
        lambda of: (float((of.other.features[OUTLYING][:, 0] > 1).mean()),),
        alone=True,
    )


EXPLANATIONS = (
    Explanation(
        titles={"outlying_share": "Outlying share"},
        question="plausible",
        word="share far out",
        answers="How many images are farther from real ones than hardly any real image is?",
        how=(
            "On brain-map: the distance to the 5th nearest real training "
            "image of other people. Counted are the synthetic images beyond the distance that 99 % "
            "of the training images keep."
        ),
        good="About 0.01, as the floor shows it. Each of these images deserves a look.",
        blind=(
            "Texture, and what the brain network does not know. An image of half a head that "
            "lies near other half heads is still far from real ones, but a copy never is."
        ),
        source="Ours; `mrgantry select` discards by the like, on two descriptions and at 95 %.",
        family="fidelity",
        short="outlying",
        joins=("brain-map",),
    ),
)
