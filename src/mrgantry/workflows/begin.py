"""What is looked at before days are spent on a study: folder, scans, slices and weights."""

from pathlib import Path
from typing import Any

from mrgantry.common import workfolder
from mrgantry.common.errors import DataError, RecipeError
from mrgantry.common.weights import fetched
from mrgantry.data.fitness import check_shape
from mrgantry.data.preparation import choose
from mrgantry.data.rows import choose_rows
from mrgantry.data.slices import SPLITS, SliceSet
from mrgantry.data.subjects import find_subjects
from mrgantry.detection.resnet import PUBLISHED
from mrgantry.detection.sets import open_real
from mrgantry.evaluation.evaluation import held_out
from mrgantry.papers.reproduction import ImageType, Reproduction
from mrgantry.workflows.work import Work, complete

# What stands on the page alone: mending a sentence leaves a run in progress valid.
WORDS: dict[str, Any] = {
    **dict.fromkeys(
        ("title", "citation", "said", "notes", "scales", "values", "changes", "alternatives"), True
    ),
    "image_types": {"__all__": {"label": True, "models": {"__all__": {"label"}}}},
    "reading": {"printed": True, "protocol": {"source"}, "seats": {"__all__": {"paper"}}},
    "detection": {"printed": True},
}


def claim_folder(
    out: Path, study: Reproduction, scans: Path | None, slices: Path | None = None
) -> None:
    """Take the folder for this study, or refuse one that holds something else.

    Raises:
        RunError: It does.
    """
    terms = {
        "study": study.study,
        "scale": study.scale,
        "scans": str(scans.resolve()) if scans else None,
        "slices": str(slices.resolve()) if slices else None,
        **study.changes.model_dump(mode="json"),
        "plan": study.model_dump(mode="json", exclude=WORDS),
    }
    workfolder.begin(out, "reproduction.json", "a reproduction", terms)


def check_options(work: Work) -> None:
    """Refuse options that this study has no use for.

    Raises:
        RecipeError: One of them.
    """
    study, changes = work.study, work.study.changes
    if work.given is not None:
        check_given(work, work.given)
    if work.scans is None and changes.of_scans:
        raise RecipeError(
            "--where, --tumour-labels, --person and --series are for scans of your own; name "
            "these with --scans."
        )
    for share, name in zip(changes.splits or (), SPLITS, strict=bool(changes.splits)):
        if share == 0 and (name != "validation" or study.detection):
            raise RecipeError(
                f"{study.study} needs {name} subjects; give --splits a share of them."
            )
    if changes.weights and not study.detection:
        raise RecipeError(f"{study.study} has no detection experiment; leave out --weights.")
    if work.key and not study.reading:
        raise RecipeError(f"{study.study} has no reader study; leave out --key.")


def check_given(work: Work, slices: Path) -> None:
    """Refuse a set of slices that cannot stand in the place of the one that would be cut.

    Raises:
        DataError: It is no set of slices, or not of people.
        RecipeError: The study has several sets, or poses of volumes, or another size; or the
            slices would have to be cut otherwise.
    """
    study = work.study
    if len(study.image_types) > 1 or study.image_types[0].poses:
        raise RecipeError(
            f"{study.study} is not of one set of slices, which --slices could name; give --scans."
        )
    if work.scans or study.changes.where is not None or study.changes.splits:
        raise RecipeError(
            "--slices names slices that are cut already; leave out --scans, --where and --splits."
        )
    (plan,), data = [image_type.plan for image_type in study.image_types], SliceSet.open(slices)
    if data.about.synthetic:
        raise DataError(
            f"A generator drew {slices}; --slices takes images of people, as `import --real`."
        )
    check_shape(
        data,
        (len(plan.channels), plan.size),
        f"the scale {study.scale} of {study.study}",
        f"make the set again with --size {plan.size}, or take another --scale",
    )


def look_at_scans(work: Work) -> None:
    """Refuse scans that some slices cannot be cut from; those of cut slices need not be there.

    Raises:
        DataError: They cannot be used.
    """
    for image_type in work.study.image_types:
        if work.scans is None or complete(work.slices(image_type)):
            continue
        plan = image_type.plan
        subjects = find_subjects(
            work.scans, plan.sequences, plan.tumour_labels, plan.person, plan.series
        )
        choose(subjects, plan.model_copy(update={"where": ()}), work.scans)
        try:
            choose(subjects, plan, work.scans)
        except DataError as error:
            raise DataError(
                f"{error} Choose by something else with --where name=value, or take all subjects "
                "with --where ''."
            ) from error


def check_slices(work: Work, image_type: ImageType) -> None:
    """Refuse slices that cannot be trained on, measured or detected with.

    Raises:
        DataError: There are too few people, or none with the labels asked for.
    """
    detection = work.study.detection
    try:
        data = SliceSet.open(work.slices(image_type))
        for _, only, _ in work.scores(image_type):
            choose_rows(data.split("train"), only)
            held_out(data, "test", only)
        if detection and detection.image_type == image_type.name:
            open_real(work.slices(image_type))
    except DataError as error:
        raise DataError(
            f"{error} Nothing is trained yet: begin again in another folder, with more scans or "
            "other --splits (or --where and --tumour-labels, for scans of your own)."
        ) from error


def fetch_weights(work: Work) -> None:
    """Fetch the weights that classifiers begin with, which are needed last.

    Raises:
        DataError: They cannot be had.
    """
    detection = work.study.detection
    if detection is None or detection.training.weights != "imagenet":
        return
    name = detection.training.network
    if name not in PUBLISHED or (work.detection / "detection.html").is_file():
        return
    try:
        fetched(f"{name}-imagenet.safetensors", *PUBLISHED[name])
    except DataError as error:
        raise DataError(f"{error} Or do without them: --weights scratch.") from error
