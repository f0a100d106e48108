"""The verbs that ask whether synthetic images help: to detect tumours, to segment them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrgantry.cli.options import Seed
from mrgantry.cli.output import print_table, say, say_next

if TYPE_CHECKING:
    from mrgantry.detection.findings import Experiment

Condition = Annotated[
    list[str] | None,
    typer.Option(
        help="none, classical, synthetic, classical+synthetic or 'synthetic alone'; repeat for "
        "several. The first four unless given, or without synthetic sets the first two."
    ),
]
Shares = Annotated[
    str, typer.Option(help="Shares of the training subjects, between colons: 0.1:0.25:0.5:1.")
]
Ratios = Annotated[
    str, typer.Option(help="Synthetic images to each other one, between colons: 0.5:1:2.")
]
OnlyReal = Annotated[
    list[str] | None, typer.Option(help="Only real slices with column=value: sequence=t1c.")
]


def detect(
    real: Annotated[Path, typer.Argument(help="Set of real slices with splits and tumour labels.")],
    out: Annotated[Path, typer.Argument(help="Folder to write answers and the page to.")],
    synthetic: Annotated[
        list[Path] | None,
        typer.Option(
            help="Set of synthetic slices; repeat for several, as one with tumours and one "
            "without: they are put together."
        ),
    ] = None,
    condition: Condition = None,
    seeds: Annotated[
        int, typer.Option(help="Classifiers of each condition; one tells little.", min=1)
    ] = 3,
    shares: Shares = "1",
    ratios: Ratios = "1",
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a value of the training, as network=resnet18 or epochs=20, or of the "
            "classical changes, as turn=5. The usual are the published ones: a ResNet-50 with "
            "ImageNet's weights.",
        ),
    ] = None,
    real_share: Annotated[
        float,
        typer.Option(
            help="Share of unchanged real slices beside classically changed ones; 0 takes changed "
            "ones alone, as the published sets of 200,000 hold, and does worse on unchanged ones.",
            min=0,
            max=1,
        ),
    ] = 0.5,
    only: OnlyReal = None,
    seed: Seed = 0,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Folder to keep the best classifier in, by its loss on validation people; "
            "`mrgantry prepare --tumour-by` labels slices by it that nobody has mapped."
        ),
    ] = None,
) -> None:
    """Train tumour classifiers with and without synthetic images, and see whether these help.

    Every condition is judged by the same real test slices, of people whom neither classifier nor
    generator has seen; a generator that has is refused. So train it on this set's training split,
    and sample it with and without tumour. Interrupted, the same command goes on; seeds, conditions,
    shares and ratios can be added. Without a GPU: --set network=small --set weights=scratch.

    Which resolution or sequence gains most: make the experiment with each set, then
    `mrgantry report best.html detection-64 detection-128` lays them out in one table.
    """
    from mrgantry.cli.options import some_numbers
    from mrgantry.detection import detect
    from mrgantry.detection.classifier import ClassifierTraining
    from mrgantry.detection.options import USUAL, change
    from mrgantry.pages import write_detection
    from mrgantry.pages.experiment import p_value
    from mrgantry.papers import printed_detection

    training, classical = change(changes or [], ClassifierTraining, "detection")
    detection = detect(
        real,
        out,
        synthetic or [],
        conditions=condition or (USUAL if synthetic else USUAL[:2]),
        seeds=seeds,
        shares=some_numbers(shares, "--shares"),
        ratios=some_numbers(ratios, "--ratios"),
        training=training,
        classical=classical,
        real_share=real_share,
        only=only or [],
        seed=seed,
        keep=keep,
        say=say,
    )
    printed = printed_detection(synthetic_set.recipe for synthetic_set in detection.synthetic)
    answer = write_detection(out, detection, printed)
    print_table(
        ("accuracy of", "minus", "share", "ratio", "points", "95 % interval", "p, Holm", ""),
        [
            (
                difference.one.condition,
                difference.other.condition,
                f"{difference.one.share:g}",
                "" if difference.one.ratio is None else f"{difference.one.ratio:g}",
                f"{100 * difference.value:+.1f}",
                f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}",
                p_value(difference),
                difference.verdict,
            )
            for difference in detection.differences_in("accuracy")
        ],
    )
    if keep:
        say_next("prepare", "SCANS", "SLICES", "--tumour-by", keep)
    _conclude(detection, answer, out / "detection.html")


def segment(
    real: Annotated[Path, typer.Argument(help="Set of real slices with splits and label maps.")],
    out: Annotated[Path, typer.Argument(help="Folder to write scores and the page to.")],
    synthetic: Annotated[
        list[Path] | None,
        typer.Option(
            help="Set of synthetic slices with label maps; repeat for several: they are put "
            "together."
        ),
    ] = None,
    judged: Annotated[
        list[Path] | None,
        typer.Option(
            help="Set that nothing is learnt from, as `sample --masks` draws one: segmenters say "
            "whether its images show what their maps say, as they do of --synthetic; repeat for "
            "several."
        ),
    ] = None,
    condition: Condition = None,
    seeds: Annotated[
        int, typer.Option(help="Segmenters of each condition; one tells little.", min=1)
    ] = 3,
    shares: Shares = "1",
    ratios: Ratios = "1",
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a value of the training, as width=32 or epochs=200, or of the classical "
            "changes, as turn=5. The usual is a U-Net with residual units, 16 channels wide.",
        ),
    ] = None,
    real_share: Annotated[
        float,
        typer.Option(
            help="Share of unchanged real slices beside classically changed ones.", min=0, max=1
        ),
    ] = 0.5,
    only: OnlyReal = None,
    seed: Seed = 0,
) -> None:
    """Train segmenters with and without synthetic images and their maps, and see if these help.

    `detect`'s twin, for sets with label maps (`prepare --label-maps`, a network trained with
    --set label_maps=true). Every condition is judged by the same real test people, whom neither
    segmenter nor generator has seen; a generator that has is refused. Interrupted, the same command
    goes on; seeds, conditions, shares and ratios can be added. Needs the extra `monai`.
    """
    from mrgantry.cli.options import some_numbers
    from mrgantry.detection.options import USUAL, change
    from mrgantry.pages import write_segmentation
    from mrgantry.pages.experiment import p_value, shown
    from mrgantry.segmentation import segment
    from mrgantry.segmentation.network import SegmenterTraining

    training, classical = change(changes or [], SegmenterTraining, "segmentation")
    found = segment(
        real,
        out,
        synthetic or [],
        judged=judged or [],
        conditions=condition or (USUAL if synthetic else USUAL[:2]),
        seeds=seeds,
        shares=some_numbers(shares, "--shares"),
        ratios=some_numbers(ratios, "--ratios"),
        training=training,
        classical=classical,
        real_share=real_share,
        only=only or [],
        seed=seed,
        say=say,
    )
    answer = write_segmentation(out, found)
    print_table(
        ("Dice of", "minus", "share", "ratio", "Dice", "95 % interval", "p, Holm", ""),
        [
            (
                effect.one.condition,
                effect.other.condition,
                f"{effect.one.share:g}",
                "" if effect.one.ratio is None else f"{effect.one.ratio:g}",
                shown(effect.value, "dice", True),
                " to ".join(shown(end, "dice", True) for end in (effect.low, effect.high)),
                p_value(effect),
                effect.verdict,
            )
            for effect in found.differences_in("dice")
        ],
    )
    _conclude(found, answer, out / "segmentation.html")


def _conclude(found: "Experiment", answer: str, page: Path) -> None:
    """Say what makes the answer doubtful, then the answer, then where the page is."""
    from mrgantry.detection.effects import FEWEST_SEEDS

    if len(found.seeds) < FEWEST_SEEDS:
        say(f"With fewer than {FEWEST_SEEDS} seeds, intervals leave out most of what chance does.")
    for remark in found.remarks:
        say(f"Warning: {remark}")
    say(f"{answer}.")
    say(f"Look at {page}.")
