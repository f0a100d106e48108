"""What scores mean: the text of the report's glossary and of `docs/MEASURES.md`.

What a measure tells stands in its own file in `measures/`; here is what they have in common.

After a change, `make measures` brings the document in step; a test compares them.
"""

import re
from collections.abc import Iterator
from textwrap import fill

from mrgantry.evaluation.measures.listed import BY_NAME, EXPLANATIONS
from mrgantry.evaluation.measures.measure import QUESTIONS, Explanation

LINE = 120  # characters in a line of the document

READING = {
    "The three answers": (
        "Can the images be told from real ones, is variety missing, are there copies: each is one "
        "answer of several scores. Yes, if one of them lies farther from what real images score "
        "than chance brings about (2.5 % one-sided, after Holm over the scores). No, if none does "
        "and one would have noticed a stated effect in four of five such studies: an area under "
        "the curve of 0.75, a fifth of the real images out of reach, images a quarter nearer to "
        "training images than other people are. Otherwise there were too few people to say no, "
        "and the answer is: cannot tell. verdict.json holds them for programs."
    ),
    "Value and interval": (
        "Every score is computed many times: each time of a random half of the held-out subjects "
        "and of equally many synthetic images, at most half of them. The value is the mean of "
        "these draws, the interval holds their central 95 %. Subjects are drawn and not slices, "
        "since slices of one head are alike. Most scores have 40 draws; "
        "Delplace's have 10, and then the interval is about the range. Classifiers are trained on "
        "all people but a fold, four folds in turn, and every person is judged once; their "
        "interval follows from how much people differ. An interval tells how far "
        "the value would move "
        "with other patients and other samples of the same generator. It tells nothing about "
        "training the generator again."
    ),
    "Real images: the floor": (
        "No finite sample of real images scores perfectly. So each score is also computed of real "
        "images in the place of the synthetic ones: the other half of the held-out subjects, in "
        "the same draws and at the same number of images. That is what to expect of images that "
        "are as good as real. Where a score looks mainly at one set (MS-SSIM, outlying share, "
        "copying, Delplace), the interval is that of the difference between two halves, about "
        "their mean. "
        "Classifiers are asked to tell the held-out people from equally many other real people of "
        "the other splits; where there are too few, the floor is 0.5. A "
        "score without its floor says little, since most depend on the number of images."
    ),
    "Worse, as real, better": (
        "As real: the value lies within the 95 % interval of the floor. Otherwise it is worse, or "
        "better where only more (or only less) is good and it lies beyond that end. Better than "
        "real takes no magic: each half of the real images shows a few heads many times, while "
        "synthetic images can mix all heads. Where lying beyond is no merit, another word says so: "
        "denser, farther. As real does not mean that images cannot be told apart, only that this "
        "score, with so few subjects, does not do it. The "
        "interval is meant to hold 95 % or more of such sets; "
        "docs/sensitivity.md tells how many it did hold."
    ),
    "Differences between sets": (
        "All sets are measured with the same real images in each draw, so the draws can be "
        "subtracted in pairs; what the choice of subjects brings about cancels. Of classifiers, "
        "people are drawn anew 200 times, real ones alike for all sets. A difference is "
        "called larger than chance if the 95 % interval of these differences leaves 0 out. That "
        "can be so where the intervals of the two sets overlap. About one in twenty of equal pairs "
        "passes as well, so a lone difference among many is no finding. Scores that look at the "
        "same thing move together."
    ),
    "Equal numbers": (
        "All clouds in a draw have the same number of images, given as n. Fréchet distances fall "
        "and recall and coverage rise with n, so values from evaluations with another n, or from "
        "papers, must not be compared with these."
    ),
}

FEATURES = {
    "pixels": "Intensities as they are, or as the entry of the score says.",
    "pca64": (
        "Coordinates along the first 64 principal directions of the real training images (the "
        "number in the name is how many). They hold the large shapes of anatomy; blur, noise and "
        "checkerboards lie outside them and are not seen."
    ),
    "random-net": (
        "Means and spreads of the responses of a convolutional network with random, untrained "
        "filters, each scaled to variance 1 over the training images. They hold edges and textures "
        "of several sizes, and nothing learnt."
    ),
    "brain-net": (
        "How tissue looks to a network that was trained on simulated slices alone, of any "
        "contrast, to say what each pixel is made of: means and spreads of its responses, along 48 "
        "principal directions over the training images, each brought to variance 1. It sees folds, "
        "borders and blur, and is hardly moved by brightness. It knows simulated brains of 64 x 64 "
        "pixels, so what these lack (skulls, children, rare anatomy) it may not see."
    ),
    "brain-map": (
        "Where the same network sees white and grey matter, fluid, lesion and background: shares "
        "in 8 x 8 cells, along 64 principal directions. It sees missing or misplaced parts in any "
        "contrast, and no texture."
    ),
    "inception": (
        "The 2048 features of Inception v3, trained on photographs, with the weights of the FID. "
        "Much used, so numbers can be set beside others'; what it minds was learnt for dogs and "
        "cars."
    ),
    "dinov2": (
        "The features of DINOv2 (small), trained on photographs without labels. On photographs "
        "such features agree better with what people judge than Inception's do (Stein et al. "
        "2023)."
    ),
    "radimagenet": (
        "The features of a network trained on RadImageNet: CT, MR and ultrasound images. Nearer to "
        "the matter, but it was taught organs and findings, not image quality."
    ),
}


def title_of(score: str, features: str = "pixels") -> str:
    """Name a score for people, with what it looked at."""
    explanation = BY_NAME.get(score)
    name = explanation.titles[score] if explanation else score.replace("_", " ")
    return name if features == "pixels" else f"{name} ({features})"


def features_text(features: str) -> str:
    """Say what an extractor is; "" if nobody has said it."""
    return FEATURES.get(re.sub(r"^pca\d+$", "pca64", features), "")


def document() -> str:
    """Give the text of `docs/MEASURES.md`."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# What the scores mean\n"
    yield (
        "This text is made from `evaluation/explained.py` and `evaluation/measures/`, as is the "
        "end of each report.\n"
    )
    yield "## How to read them\n"
    for title, text in READING.items():
        yield _wrapped(f"**{title}.** {text}") + "\n"
    for key, question in QUESTIONS.items():
        yield f"## {question}\n"
        for explanation in EXPLANATIONS:
            if explanation.question == key:
                yield from _entry(explanation)
    yield "## What is compared: features\n"
    for name, text in FEATURES.items():
        yield _wrapped(f"- `{name}`: {text}")


def _entry(explanation: Explanation) -> Iterator[str]:
    names = ", ".join(f"`{name}`" for name in explanation.titles)
    yield f"### {explanation.title}\n"
    yield _wrapped(f"{names}. {explanation.answers}") + "\n"
    parts = {
        "How": explanation.how,
        "Good": explanation.good,
        "Does not notice": explanation.blind,
        "Source": explanation.source,
    }
    for head, text in parts.items():
        yield _wrapped(f"- **{head}**: {text}")
    yield ""


def _wrapped(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return fill(text, LINE, subsequent_indent=indent, break_on_hyphens=False)
