"""What each score means: the one source of the report's glossary and of `docs/MEASURES.md`.

After a change, `python -m mrgantry.evaluate.explained > docs/MEASURES.md` brings the document
in step; a test compares them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import fill

LINE = 120  # characters in a line of the document

# What people ask, in the order of the report.
QUESTIONS = {
    "population": "Same population?",
    "plausible": "Plausible? Varied?",
    "classifier": "Can a classifier tell?",
    "spectrum": "Up-sampling traces?",
    "copies": "Copies of patients?",
    "delplace": "As Delplace measured",
}


@dataclass(frozen=True)
class Explanation:
    """One score, or forms of one, for people.

    Attributes:
        titles: What each name in `scores.json` is called.
        question: A key of `QUESTIONS`.
        word: The method in a word or two.
        answers: The question that it answers.
        how: How it is computed.
        good: Which values are good.
        blind: What it does not notice, and where it misleads.
        source: The paper.
        heading: Of the entry; the first title unless given.
        beyond: What to call values beyond those of real images on the good side.
    """

    titles: dict[str, str]
    question: str
    word: str
    answers: str
    how: str
    good: str
    blind: str
    source: str
    heading: str = ""
    beyond: str = "better"

    @property
    def title(self) -> str:
        """Give the entry's heading."""
        return self.heading or next(iter(self.titles.values()))

    @property
    def anchor(self) -> str:
        """Name the entry's place on a page."""
        return f"score-{next(iter(self.titles))}"


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

EXPLANATIONS = (
    Explanation(
        titles={"relative_fd": "Relative FD", "relative_fid": "Relative FID"},
        question="population",
        word="Fréchet, over the floor",
        answers="How many times as far from the held-out real images are these as other real ones?",
        how=(
            "The Fréchet distance of synthetic and real features, divided by the mean distance "
            "between two halves of the real subjects at the same n. On Inception's features the "
            "distance is the FID."
        ),
        good=(
            "Lower. 1 is as far as one half of the subjects is from the other; below 1 occurs, "
            "since synthetic images mix all heads and halves do not."
        ),
        blind=(
            "Only means and covariances count, so clouds of another shape can score 0. One number "
            "for fidelity and variety: it does not say which is missing. On principal directions "
            "it does not notice blur, noise or checkerboards. Copies of training images score "
            "well."
        ),
        source=(
            "Dowson and Landau 1982; Heusel et al. 2017 for the FID. The ratio to the floor is "
            "ours."
        ),
    ),
    Explanation(
        titles={"frechet_distance": "Fréchet distance", "fid": "FID"},
        question="population",
        word="Fréchet",
        answers="How far apart are real and synthetic images, taken as two Gaussians?",
        how=(
            "Means μ and covariances Σ of the features of both sets give |μ1 − μ2|² + tr(Σ1 + Σ2 − "
            "2 (Σ1 Σ2)^½). FID is its name on Inception's features, and there alone."
        ),
        good="Lower, down to the floor.",
        blind=(
            "It is biased: the fewer images, the larger, often by more than generators differ. So "
            "only equal n and the floor count, and FIDs in papers, of 10,000 images or more, "
            "cannot be compared with these. Distances on different features have different units. "
            "Otherwise as relative FD."
        ),
        source="Dowson and Landau 1982; Heusel et al. 2017.",
    ),
    Explanation(
        titles={"kernel_distance": "Kernel distance"},
        question="population",
        word="MMD",
        answers="Do both sets come from one population, by a measure that few images do not bias?",
        how=(
            "The squared maximum mean discrepancy of both clouds with the kernel (x.y / d + 1)^3, "
            "all pairs of an image with itself left out. On Inception's features this is the KID."
        ),
        good="Near 0, the mean of one population; it may fall below 0 by chance.",
        blind=(
            "Unbiased does not mean exact: with few subjects it spreads widely, as the floor's "
            "interval shows. The cubic kernel minds moments up to the third. Like Fréchet "
            "distances it mixes fidelity with variety, sees only what the features hold, and "
            "rewards copies."
        ),
        source="Bińkowski et al. 2018.",
    ),
    Explanation(
        titles={"precision": "Precision"},
        question="plausible",
        word="share inside",
        answers="Which share of the synthetic images looks like some real one?",
        how=(
            "Around each real image lies a ball that reaches to its 5th nearest real image of "
            "another subject. Counted are the synthetic images inside any ball."
        ),
        good="Higher, up to the floor or above.",
        blind=(
            "A single odd real image has a huge ball and lets anything pass; density mends that. A "
            "generator that makes one good image again and again has precision 1: look at recall "
            "and coverage."
        ),
        source=(
            "Kynkäänniemi et al. 2019. That neighbours must be other subjects is ours: next slices "
            "of one head would make all balls too small."
        ),
    ),
    Explanation(
        titles={"density": "Density"},
        question="plausible",
        word="balls per image",
        beyond="denser",
        answers="Do the synthetic images lie where real ones are dense?",
        how=(
            "The number of real images' balls (as for precision) that a synthetic image lies in, "
            "over 5, averaged."
        ),
        good="As high as the floor, which may exceed 1.",
        blind=(
            "Images that crowd at the middle of the real cloud, blurred averages for instance, "
            "exceed 1: far above the floor is a sign of missing variety, not of quality. It says "
            "nothing about what is missing."
        ),
        source="Naeem et al. 2020, equation 6.",
    ),
    Explanation(
        titles={"recall": "Recall"},
        question="plausible",
        word="share reached",
        answers="Which share of the real images could the generator have made?",
        how=(
            "As precision with the sets exchanged: balls around synthetic images, and the real "
            "images inside any of them are counted."
        ),
        good="Higher, up to the floor.",
        blind=(
            "A few scattered bad images have large balls that reach far, so bad generators can "
            "have high recall; coverage does not have this fault. It rises with n."
        ),
        source="Kynkäänniemi et al. 2019.",
    ),
    Explanation(
        titles={"coverage": "Coverage"},
        question="plausible",
        word="balls hit",
        answers="Which share of the real variety do the synthetic images reach?",
        how=(
            "The share of the real images' balls (as for precision) that hold at least one "
            "synthetic image."
        ),
        good="Higher, up to the floor.",
        blind=(
            "It rises with n, so only equal n counts. One image in a ball is enough, so rare kinds "
            "made far too rarely, or far too often, pass. Copies of training images cover well."
        ),
        source="Naeem et al. 2020, equation 7.",
    ),
    Explanation(
        titles={"ms_ssim_pairs": "MS-SSIM of pairs"},
        question="plausible",
        word="similarity",
        answers="Are the synthetic images as different from each other as real people are?",
        how=(
            "The multi-scale structural similarity of random pairs of images of different "
            "subjects, and its median."
        ),
        good="As real images. Higher: too little variety; 1 is one image again and again.",
        blind=(
            "Lower than real is no success: noise and broken anatomy differ from each other too. "
            "It minds position and brightness, and sees no single missing kind of patient."
        ),
        source="Wang et al. 2003; for GANs, Odena et al. 2017.",
    ),
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
    ),
    Explanation(
        titles={"c2st_cnn_auc": "C2ST, CNN: area", "c2st_cnn": "C2ST, CNN: accuracy"},
        question="classifier",
        word="network",
        heading="C2ST, CNN",
        answers="Can a network that sees all pixels tell real from synthetic?",
        how=(
            "A convolutional network of four layers learns real against synthetic from all people "
            "but a fold, and from real people of the other splits, until it no longer gains on "
            "people held back for that; then it judges the fold. Area: of pairs of a real and a "
            "synthetic image, how many it puts in order. Accuracy: how many images it names "
            "rightly. It sees patches of at most 64 pixels; of larger images, the mean over all "
            "patches decides."
        ),
        good="0.5 is guessing. The strictest of the scores.",
        blind=(
            "Near 1 may be due to fine texture alone, or to traces of grey where real images are "
            "black, which nobody sees: look at the same test on low-passed images. And 0.5 only "
            "says that this network found nothing with so few people: see what it would have "
            "noticed."
        ),
        source=(
            "Lopez-Paz and Oquab 2017; the interval by person is Obuchowski's, 1997. Folds by "
            "person are ours."
        ),
    ),
    Explanation(
        titles={
            "c2st_low_pass_auc": "C2ST, low-passed: area",
            "c2st_low_pass": "C2ST, low-passed: accuracy",
        },
        question="classifier",
        word="network, no texture",
        heading="C2ST, low-passed",
        answers="Can the network still tell when fine texture is taken away?",
        how=(
            "As the C2ST by CNN, on images reduced to 32 x 32 pixels (half the side, if that is "
            "less)."
        ),
        good=(
            "0.5, as the floor shows it. High here too: the anatomy or the contrast is wrong, not "
            "only the texture."
        ),
        blind="All that is smaller than two pixels of the reduced image.",
        source="Lopez-Paz and Oquab 2017; the reduction is ours.",
    ),
    Explanation(
        titles={
            "c2st_logistic_auc": "C2ST, logistic: area",
            "c2st_logistic": "C2ST, logistic: accuracy",
        },
        question="classifier",
        word="linear",
        heading="C2ST, logistic",
        answers="Does a straight line through a network's features part real from synthetic?",
        how="As the C2ST by CNN, by a logistic regression on the features of one extractor.",
        good="0.5 is guessing.",
        blind=(
            "What the features do not hold. On few people it can do better than a network that "
            "must learn all by itself."
        ),
        source="Lopez-Paz and Oquab 2017.",
    ),
    Explanation(
        titles={"spectral_radius": "Spectrum by radius"},
        question="spectrum",
        word="power, dB",
        answers="Is there too much or too little power at some spatial frequency?",
        how=(
            "The power of each image's Fourier transform is averaged over rings of equal frequency "
            "and put in dB, less the mean over all rings. The score is the root-mean-square "
            "difference of the two sets' mean spectra."
        ),
        good="Lower, down to the floor.",
        blind=(
            "Phases, and so all anatomy: noise with the right spectrum scores 0. Overall "
            "brightness and contrast, which are taken away. It averages over directions, so "
            "stripes hardly show: see the spectrum by direction. The report's curve "
            "shows where the difference lies."
        ),
        source="Durall et al. 2020.",
    ),
    Explanation(
        titles={"spectral_direction": "Spectrum by direction"},
        question="spectrum",
        word="axes, dB",
        answers="Are there stripes or grids?",
        how=(
            "Up-sampling in a generator leaves patterns along rows and columns. In eight bands of "
            "frequency from 0.1 to 0.5 cycles per pixel, the power along each axis is set over "
            "that off the axes, in dB. The score is the root-mean-square difference of the two "
            "sets' means."
        ),
        good="Lower, down to the floor.",
        blind=(
            "Patterns that lie along no axis, and all that is not a pattern: noise scores as real."
        ),
        source="Ours, after Durall et al. 2020.",
    ),
    Explanation(
        titles={"copying_ratio": "Copying, median"},
        question="copies",
        word="nearest neighbours",
        beyond="farther",
        answers="Does the generator draw its training images instead of new heads?",
        how=(
            "For each synthetic image: the distance to its nearest training image over that to its "
            "nearest image of the held-out half, mirrored or not, on pixels reduced to 32 x 32 or "
            "on brain-map. The median is "
            "divided by what real images of yet other people give, whose ratio is no 1 where there "
            "are more training images than held-out ones."
        ),
        good=(
            "1: as near to the people that it has seen as any new person is. Below the floor: "
            "nearer than new people are; far below 1: copies."
        ),
        blind=(
            "In pixels: copies that are shifted, turned or brightened. On brain-map: what "
            "its network does not know. A median is not "
            "moved by a few copies: see the rare ratio. Bad images are far from all people alike "
            "and score 1 or more, so above the floor is no merit. It is no proof of privacy."
        ),
        source="Ours; the comparison with held-out images follows Meehan et al. 2020.",
    ),
    Explanation(
        titles={"copying_ratio_rare": "Copying, rarest 1 %"},
        question="copies",
        word="nearest neighbours",
        beyond="farther",
        answers="Are there single copies among many new images?",
        how=(
            "The same ratio, of the lowest hundredth of the images instead of the middle one, and "
            "divided by the same of real images."
        ),
        good=(
            "1, as the floor shows it; below it some images lie suspiciously near to training "
            "images."
        ),
        blind=(
            "Fewer copies than one in a hundred; look at the pairs. With few images in a draw it "
            "rests on one or two of them. Otherwise as the median."
        ),
        source="Ours, as the median.",
    ),
    Explanation(
        titles={"rho_formula": "ρ, formula", "rho_coded": "ρ, coded"},
        question="delplace",
        word="projection",
        heading="ρ: realism after Delplace",
        answers="Do the images lie along the leading directions of the real ones?",
        how=(
            "The mean length of an image's products with the 16 leading principal directions of "
            "the training images. Formula: as printed, neither centred nor normalised. Coded: as "
            "his program does it, centred and normalised, so that it lies between 0 and 1."
        ),
        good="As real images.",
        blind=(
            "The formula grows with contrast. The coded form rewards images without fine detail, "
            "since all that is left then lies along these directions. Neither sees missing "
            "variety."
        ),
        source="Delplace 2020, arXiv:2002.02527.",
    ),
    Explanation(
        titles={"sigma": "σ", "sigma_coded": "σ, coded"},
        question="delplace",
        word="variance",
        heading="σ: variation after Delplace",
        answers="Do the images vary as much as real ones?",
        how=(
            "σ is the trace of the covariance of pixels: the summed variance over images. Coded: "
            "his program takes images for variables, which sums the variances within images "
            "instead."
        ),
        good="As real images.",
        blind=(
            "Noise is variance too. The coded form measures contrast, not variety, and grows with "
            "n."
        ),
        source="Delplace 2020, arXiv:2002.02527; σ is corrected.",
    ),
    Explanation(
        titles={"delta": "δ", "delta_coded": "δ, coded"},
        question="delplace",
        word="eigenvalues",
        heading="δ: diversity after Delplace",
        answers="In how many directions do the images vary?",
        how=(
            "The number of eigenvalues of the covariance of pixels above 1 % of σ. Coded: of the "
            "covariance of images, as in his program."
        ),
        good="As real images.",
        blind=(
            "It cannot exceed 99, counts whole numbers and knows no directions: another variety of "
            "the same number scores the same. The coded form counts the mean image too."
        ),
        source="Delplace 2020, arXiv:2002.02527; δ is corrected.",
    ),
)

BY_NAME = {name: one for one in EXPLANATIONS for name in one.titles}


def title_of(score: str, features: str = "pixels") -> str:
    """Name a score for people, with what it looked at."""
    known = BY_NAME.get(score)
    name = known.titles[score] if known else score.replace("_", " ")
    return name if features == "pixels" else f"{name} ({features})"


def features_text(features: str) -> str:
    """Say what an extractor is; "" if nobody has said it."""
    return FEATURES.get(re.sub(r"^pca\d+$", "pca64", features), "")


def document() -> str:
    """Give the text of `docs/MEASURES.md`."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "# What the scores mean\n"
    yield "This text is made from `evaluate/explained.py`, as is the end of each report.\n"
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


if __name__ == "__main__":
    print(document())
