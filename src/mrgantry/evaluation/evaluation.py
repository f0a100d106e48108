"""All measures of synthetic sets against one real set, by one rule.

Most measures are functions of clouds of equal size. They are computed on many draws: between
a half of the real subjects and as many synthetic images (the score), and between that
half and the other (the floor: what real images score). Mean and spread over the draws are
the value and its interval. Classifiers are trained on all people but a fold, and judge that.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mrgantry.common import workfolder
from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath, whole
from mrgantry.common.progress import progress
from mrgantry.common.provenance import command_line, versions
from mrgantry.common.score import Score, write_scores
from mrgantry.data.fitness import check_alike, check_unseen, mismatches
from mrgantry.data.rows import choose_rows, meets
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.differences import differences, write_differences
from mrgantry.evaluation.measures.manifold import K
from mrgantry.evaluation.pictures import map_of_groups, pictures_of
from mrgantry.evaluation.record import Evaluation, RealRecord, SetRecord, record_of
from mrgantry.evaluation.reference import (
    FEWEST,
    Reference,
    check_finite,
    check_subjects,
    refer,
)
from mrgantry.evaluation.result import Scores
from mrgantry.evaluation.scoring import Candidate, Floors, count_steps, score_set
from mrgantry.evaluation.verdict import verdicts, write_verdicts

FEWEST_IMAGES = 2 * (K + 1)  # of a synthetic set: half of them are drawn, with k neighbours
FEWEST_DRAWS = 2


def evaluate(
    real: AnyPath,
    out: AnyPath,
    synthetic: Sequence[AnyPath],
    *,
    against: str = "test",
    seed: int = 0,
    only: Sequence[str] = (),
    features: Sequence[str] = (),
    groups: str = "",
    maps: bool = True,
    draws: int | None = None,
    floors: Floors | None = None,
) -> Scores:
    """Score synthetic sets against held-out real slices.

    Extractors are fitted on the real training split; the synthetic sets are compared
    with the split `against`, and taken whole. Writes `scores.json`, `scores.csv`,
    `verdict.json`, `differences.csv`, `evaluation.json` and what the report draws, `pictures.npz`.

    Args:
        real: Folder of the real set.
        out: Folder to write to.
        synthetic: Folders of synthetic sets of the same size and channels.
        against: Split of the real set to compare with.
        seed: Seed of all draws.
        only: Conditions on the real rows, such as "tumour=yes": those that a generator was
            trained on.
        features: Pretrained extractors beside those that need no download.
        groups: A column, such as "tumour": the map shows images with each of its values apart.
        maps: Whether to lay the images out by t-SNE, which takes a while.
        draws: Half-samples at most, 2 or more; None takes each measure's own number, 10 or 40.
            Fewer are faster, and give rougher intervals.
        floors: Filled with what real images score, and read where a call before this one
            filled it: half of an evaluation's time. The scores are the same.

    Raises:
        DataError: The sets show different things, a generator has seen a subject it is to
            be compared with, there are too few images or draws, or some are not finite.
        RunError: `out` holds other scores, or other things.
    """
    real, out = Path(real), Path(out)
    made = tuple(map(Path, synthetic))
    if draws is not None and draws < FEWEST_DRAWS:
        raise DataError(f"An interval needs {FEWEST_DRAWS} draws or more, not {draws}.")
    everything = SliceSet.open(real)
    train = choose_rows(everything.split("train"), only)
    held = held_out(everything, against, only)
    sets = open_sets(made, held)
    compared = RealRecord(**record_of(held).model_dump(), split=against, only=tuple(only))
    measured = tuple(map(record_of, sets))
    begin_scores(out, compared, measured, features, seed)
    (out / "scores.json").unlink(missing_ok=True)  # it comes back last, when all is whole
    elsewhere = ~np.isin(everything.table["split"], [against, "train"])
    extra = everything.where(elsewhere & meets(everything.table, only).to_numpy())
    reference = refer(held, train, features, only, draws, extra if against != "all" else None)
    floors = Floors() if floors is None else floors
    most = min(map(len, sets)) // 2  # as many of each set, or they could not be compared
    scores: list[Score] = []
    pictures: dict[str, np.ndarray] = {}
    clouds = {}
    with progress("evaluate", len(sets) * count_steps(reference)) as advance:
        for data in sets:
            cloud = clouds[data.name] = reference.cloud_of(data)
            candidate = Candidate(data.name, cloud, data.about.fingerprint)
            scores += score_set(reference, candidate, seed, floors, advance, most)
            pictures |= pictures_of(data, cloud, reference)
    remarks = [remark for data in sets for remark in mismatches(held, data)]
    remarks += too_few(reference, scores[0].n_real)
    for remark in remarks:
        logging.getLogger(__name__).warning(remark)
    if maps:
        pictures |= map_of_groups(reference, dict(zip(sets, clouds.values(), strict=True)), groups)
    with whole(out / "pictures.npz") as aside:
        np.savez_compressed(aside, **pictures)  # type: ignore[arg-type]
    write_differences(out, differences(scores))
    said = verdicts(scores)
    write_verdicts(out, said)
    choices = {
        "synthetic": made,
        "against": against,
        "seed": seed,
        "only": tuple(only),
        "features": tuple(features),
        "groups": groups or None,
        "no_maps": not maps,
        "draws": draws,
    }
    Evaluation(
        real=compared,
        synthetic=measured,
        features=tuple(features),
        seed=seed,
        command=command_line("evaluate", real, out, **choices),
        versions=versions(),
        extractors={extractor.name: extractor.fingerprint for extractor in reference.extractors},
        remarks=tuple(remarks),
    ).write(out)
    write_scores(out, scores)
    return Scores(scores, said)


def begin_scores(
    out: Path,
    real: RealRecord,
    synthetic: Sequence[SetRecord],
    features: Sequence[str],
    seed: int,
) -> None:
    """Begin a folder of scores, or go on with one on the same terms.

    Args:
        out: The folder.
        real: What is compared with.
        synthetic: What is measured; where it lies and how it is called does not matter.
        features: Pretrained extractors.
        seed: Of all draws.

    Raises:
        RunError: It holds scores of other sets or by other settings, or other things.
    """
    terms = {
        "real": real.model_dump(include={"fingerprint", "split", "only"}),
        "synthetic": [record.fingerprint for record in synthetic],
        "features": list(features),
        "seed": seed,
    }
    workfolder.begin(out, "terms.json", "a folder of scores", terms)


def held_out(real: SliceSet, against: str, only: Sequence[str] = ()) -> SliceSet:
    """Give the split to compare with, and of it the rows that meet some conditions.

    Args:
        real: The whole set.
        against: Name of the split, or "all".
        only: Conditions, such as "tumour=yes".

    Raises:
        DataError: It has too few subjects.
    """
    held = choose_rows(real.split(against), only)
    check_subjects(held)
    return held


def open_sets(folders: Sequence[Path], held: SliceSet) -> list[SliceSet]:
    """Open synthetic sets, and refuse what must not be compared with these real images.

    Raises:
        DataError: There are none, or one is unfit.
    """
    sets = [SliceSet.open(folder) for folder in folders]
    if not sets:
        raise DataError("There is nothing to evaluate: name a set with --synthetic.")
    names = [data.name for data in sets]
    if len({*names, "real"}) <= len(names):
        raise DataError(f"Sets are told apart by the names of their folders: {', '.join(names)}.")
    for data in sets:
        check(held, data)
    return sets


def check(held: SliceSet, synthetic: SliceSet) -> None:
    """Refuse a set that must not be compared.

    Raises:
        DataError: The sets show different things, there are too few images, some are not
            finite, or the generator has seen a subject of the held-out split.
    """
    check_alike(held, synthetic)
    if len(synthetic) < FEWEST_IMAGES:
        raise DataError(
            f"{synthetic.folder} has {len(synthetic)} image(s); scores need {FEWEST_IMAGES} or "
            "more, since halves of them are drawn, and hundreds to tell much. Sample more."
        )
    check_finite(synthetic)
    people = synthetic.table["subject"]
    if (people != "").all() and people.nunique() < FEWEST:
        raise DataError(
            f"The images of {synthetic.folder} are said to show {people.nunique()} subject(s); "
            f"they are told apart by subject, so scores need {FEWEST} or more. Leave the subjects "
            "of images that a generator drew empty."
        )
    if held.table["split"].nunique() == 1:
        seen = set(synthetic.about.training_subjects)
        check_unseen(seen, held, synthetic, "its scores would be too good")


def too_few(reference: Reference, n: int) -> list[str]:
    """Say in one sentence of which extractors a draw has fewer images than features, if of any."""
    wide = [
        f"{extractor.name} has {width} features"
        for extractor in reference.extractors
        if (width := reference.held_cloud.features[extractor.name].shape[1]) >= n
    ]
    if not wide:
        return []
    return [
        f"A draw has {n} images, but {', '.join(wide)}: the Frechet distance is then far too "
        "large, and only the one of real images beside it tells what it is worth."
    ]
