"""People under two names are found, and different people are not taken for one."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from conftest import brain_phantom, write_nifti, write_slices
from mrgantry.cli import app
from mrgantry.common.picture import to_grey
from mrgantry.data import SlicePlan, find_repeats, prepare
from mrgantry.data import repeats as repeats_module
from mrgantry.data.notes import INTENSITIES, TISSUE, Notes, Repeat
from mrgantry.data.repeats import (
    BY_TISSUE,
    about_splits,
    blind_spot,
    note_repeats,
)
from mrgantry.data.small_images import mirrored, shrink, shrink_tissues

LEVELS = 6
PEOPLE = 24
SPLITS = ("train", "test")


def head(seed: int, size: int = 48) -> np.ndarray:
    """Draw one person's slices, in [0, 1]: an anatomy that all share, and one's own."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    inside = x**2 / 0.5 + y**2 / 0.7 < 1

    def smooth(seed):
        noise = np.random.default_rng(seed).standard_normal((3 * LEVELS, size, size))
        field = ndimage.gaussian_filter(noise, (3, 2.5, 2.5))[LEVELS : 2 * LEVELS]
        return field / field.std()

    return (0.55 + 0.09 * smooth(10**6) + 0.06 * smooth(seed)).clip(0.15, 1) * inside


def slices_of(folder, heads):
    """Write a set of heads by their names, in both splits in turn."""
    images = np.concatenate([2 * head[:, None] - 1 for head in heads.values()])
    subjects = [name for name, one in heads.items() for _ in one]
    turns = [SPLITS[k % 2] for k, one in enumerate(heads.values()) for _ in one]
    return write_slices(folder, images, subjects, turns)


def people(count: int) -> dict[str, np.ndarray]:
    return {f"p{seed}": head(seed) for seed in range(count)}


def brain(seed: int, contrast: tuple[float, float, float] = (0.85, 0.6, 0.2)) -> np.ndarray:
    """Draw one person's slices with folds: white matter, grey matter and fluid."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    radius = np.sqrt((x / 0.66) ** 2 + (y / 0.82) ** 2)
    noise = np.random.default_rng(seed).standard_normal((3 * LEVELS, 64, 64))
    folds = ndimage.gaussian_filter(noise, (3, 3, 3))[LEVELS : 2 * LEVELS]
    folds = folds / folds.std()
    depth = 1 - radius + 0.07 * folds
    horns = (x / 0.12) ** 2 + ((y + 0.05) / 0.3) ** 2 + 0.5 * folds < 1
    white, grey, fluid = contrast
    drawn = np.where(depth > 0.22, white, np.where(depth > 0.06, grey, fluid))
    drawn = np.where(horns, fluid, drawn) * (radius < 1)
    return ndimage.gaussian_filter(drawn, (0, 0.6, 0.6)).clip(0, 1)


def biased(one):
    ramp = np.linspace(0.8, 1.2, one.shape[-1])
    return (0.8 * one * ramp * ramp[:, None]).clip(0, 1)


def noisy(one):
    noise = np.random.default_rng(5).normal(0, 0.02, one.shape)
    return (one + noise * (one > 0)).clip(0, 1)


def moved(one):
    turned = ndimage.rotate(one, 2, axes=(1, 2), reshape=False, order=1)
    shifted = ndimage.shift(turned, (0, 1.3, -0.7), order=1)
    return np.where(shifted > 0.3, shifted, 0).clip(0, 1)  # a brain mask's edge is sharp


def between(one):
    return (one[1:] + one[:-1]) / 2


def test_different_people_are_not_one(tmp_path):
    for count in (1, 2, 3, 5, PEOPLE):
        assert find_repeats(slices_of(tmp_path / str(count), people(count))) == []
    few = {name: one[2:3] for name, one in people(PEOPLE).items()}
    assert find_repeats(slices_of(tmp_path / "few", few)) == []


@pytest.mark.parametrize("change", [np.copy, biased, noisy, moved, between])
def test_a_repeat_is_found_whatever_was_done_to_it(tmp_path, change):
    heads = people(PEOPLE) | {"again": change(head(3))}
    (one,) = find_repeats(slices_of(tmp_path / "set", heads))
    assert (one.subject, one.other, one.split, one.other_split) == ("p3", "again", "test", "train")
    assert one.ratio < 0.45 and (change is not np.copy or one.ratio == one.distance == 0)
    assert one.by == INTENSITIES
    assert one.id.startswith("p3-") and one.other_id.startswith("again-")


def test_the_most_suspicious_come_first_and_one_person_may_have_three_names(tmp_path):
    heads = people(PEOPLE) | {"b": moved(head(3)), "c": head(8), "d": noisy(biased(head(8)))}
    found = [
        {repeat.subject, repeat.other}
        for repeat in find_repeats(slices_of(tmp_path / "set", heads))
    ]
    assert found[0] == {"p8", "c"}
    assert len(found) == 4 and {"p3", "b"} in found and {"c", "d"} in found and {"p8", "d"} in found


def test_of_two_people_only_copies_can_be_told(tmp_path):
    (one,) = find_repeats(slices_of(tmp_path / "two", {"a": head(1), "b": 0.7 * head(1)}))
    assert one.ratio is None and one.distance < 0.001
    assert one.id.removeprefix("a-") == str(int(one.other_id.removeprefix("b-")) - LEVELS)
    copies = {name: head(1) for name in "abc"}
    assert len(find_repeats(slices_of(tmp_path / "three", copies))) == 3
    # A single slice each, and the same one.
    single = {name: one[2:3] for name, one in people(6).items()} | {"again": head(3)[2:3]}
    assert [r.other for r in find_repeats(slices_of(tmp_path / "one", single))] == ["again"]


OTHER_CONTRAST = (0.4, 0.65, 1.0)  # of white matter, grey matter and fluid, as in T2


@pytest.mark.parametrize(
    "again", [brain(3)[..., ::-1], brain(3, OTHER_CONTRAST), brain(3, OTHER_CONTRAST)[..., ::-1]]
)
def test_tissue_is_known_again_in_another_contrast_and_mirrored(tmp_path, again, monkeypatch):
    monkeypatch.setattr(repeats_module, "MANY", 8)  # third people do
    heads = {f"p{seed}": brain(seed) for seed in range(10)}
    assert find_repeats(slices_of(tmp_path / "apart", heads)) == []
    made = slices_of(tmp_path / "set", heads | {"again": again})
    (one,) = find_repeats(made)
    assert (one.subject, one.other, one.by) == ("p3", "again", TISSUE)
    assert one.ratio < 0.5 and one.distance < 0.075
    assert one.id.removeprefix("p3-") == str(3 * LEVELS + int(one.other_id[6:]) - 10 * LEVELS)


def test_people_of_two_sequences_are_compared_by_tissue(tmp_path):
    heads = {f"p{seed}": brain(seed) for seed in range(6)}
    others = {f"q{seed}": brain(seed, OTHER_CONTRAST) for seed in range(5, 10)}
    made = slices_of(tmp_path / "set", heads | others)
    made.table.loc[made.table["subject"].str.startswith("q"), "sequence"] = "t2"
    (one,) = find_repeats(made)
    assert (one.subject, one.other, one.by) == ("p5", "q5", TISSUE)
    assert one.ratio < 0.5 and one.distance < 0.08


def test_few_of_another_sequence_among_many_raise_no_alarm(tmp_path, monkeypatch):
    """What nobody can be compared with is no third person: three of 24 had ratios of 0."""
    monkeypatch.setattr(repeats_module, "MANY", 10)
    made = slices_of(tmp_path / "set", people(PEOPLE))
    made.table.loc[made.table["subject"].isin(["p1", "p7", "p9"]), "sequence"] = "t2"
    assert find_repeats(made) == []


def test_it_is_said_what_could_not_be_looked_for(tmp_path, monkeypatch):
    made = slices_of(tmp_path / "set", people(4))
    said = note_repeats(made)
    assert said.repeats == ()
    assert said.repeats_missed.startswith(
        "Second visits could not be looked for among so few people (4;"
    )
    assert about_splits(said).startswith("No subject stands in two splits by name. No two subj")
    assert about_splits(said).endswith(said.repeats_missed)
    monkeypatch.setattr(repeats_module, "MANY", 2)
    assert blind_spot(made) == ""
    few = slices_of(tmp_path / "few", {name: one[:3] for name, one in people(4).items()})
    assert "of 4 of 4 people could not be looked for" in blind_spot(few)
    assert "was not looked for" in about_splits(Notes())
    facts = {"subject": "a", "other": "b", "ratio": 0.1, "distance": 0.1, "id": "", "other_id": ""}
    pair = Repeat(**facts, split="train", other_split="test")
    assert "One pair of subjects of different splits may be" in about_splits(Notes(repeats=(pair,)))
    within = pair.model_copy(update={"other_split": "train"})
    assert "within splits only" in about_splits(Notes(repeats=(within,)))


def test_small_images_of_tissue_forget_contrast_and_side():
    images = torch.from_numpy(brain(0))[:, None].float() * 2 - 1
    small = shrink_tissues(images)
    assert (shrink_tissues(images.flip(3)) * mirrored(small)).sum(1).min() > 0.9
    other = torch.from_numpy(brain(0, OTHER_CONTRAST))[:, None].float() * 2 - 1
    same = (shrink_tissues(other) * small).sum(1)
    stranger = torch.from_numpy(brain(1))[:, None].float() * 2 - 1
    others = (shrink_tissues(stranger) * small).sum(1)
    assert same.median() > 0.85 and same.min() > others.max()
    assert (shrink(other) * shrink(images)).sum(1).max() < 0.5


def test_different_people_differ_in_tissue(real_data, tmp_path):
    """Among 90 people, and in sets of fewer; and one of 20 in a mirror with other intensities."""
    plan = SlicePlan(slices="0.45:0.75:2", field_mm=192, size=64)
    made = prepare(real_data / "ixi-t1-2mm-bids", tmp_path / "set", plan)
    assert made.about.notes.repeats == () and not made.about.notes.repeats_missed
    names = pd.unique(made.table["subject"])[:20]
    heads = {name: made.images[(made.table["subject"] == name).to_numpy(), 0] for name in names}
    heads = {name: (one.astype(float) + 1) / 2 for name, one in heads.items()}
    first = heads[names[0]]
    again = np.where(first > 0.02, 1.05 - first, 0)[..., ::-1]
    (one,) = find_repeats(slices_of(tmp_path / "again", heads | {"again": again}))
    assert (one.subject, one.other, one.by) == (names[0], "again", TISSUE)
    assert one.distance < BY_TISSUE.near


def test_images_without_a_subject_are_left_out(tmp_path):
    images = np.tile(2 * head(0)[:, None] - 1, (3, 1, 1, 1))
    names = [f"block{k // LEVELS}" for k in range(len(images))]
    made = write_slices(tmp_path / "set", images, names, ["train"] * len(names), synthetic=True)
    assert find_repeats(made) == []


def test_what_cannot_be_compared_is_not_alike(tmp_path):
    made = slices_of(tmp_path / "set", people(4) | {"again": head(3)})
    made.table.loc[made.table["subject"] == "again", "plane"] = "coronal"
    assert find_repeats(made) == []


def test_gain_bias_and_place_do_not_change_small_images():
    images = torch.from_numpy(head(0, 64))[:, None].float()
    small = shrink(images)
    torch.testing.assert_close(small.norm(dim=1), torch.ones(LEVELS))
    torch.testing.assert_close(shrink(0.3 * images - 1), small, atol=1e-4, rtol=0)
    torch.testing.assert_close(shrink(images.roll((3, -5), (2, 3))), small, atol=1e-4, rtol=0)
    assert (shrink(torch.from_numpy(biased(head(0, 64)))[:, None].float()) * small).sum(
        1
    ).min() > 0.98
    assert not shrink(torch.full((2, 1, 16, 16), 0.3)).any()


@pytest.fixture
def doubled(cohort):
    """Eleven subjects, of whom one is another with brighter intensities."""
    name = "BraTS20_Training_099"
    write_nifti(cohort / name / f"{name}_t1.nii.gz", 1.5 * brain_phantom(3), "LPS")
    return cohort


def test_prepare_notes_them_and_its_fingerprint_stays(doubled, tmp_path):
    plan = SlicePlan(sequences=("t1",), slices="0.3:0.7", size=24)
    made = prepare(doubled, tmp_path / "out", plan, workers=1)
    (note,) = made.about.notes.repeats
    assert {note.subject, note.other} == {"BraTS20_Training_003", "BraTS20_Training_099"}
    assert note.id[20:] == note.other_id[20:]  # the same slice of both
    with Image.open(tmp_path / "out/repeats.png") as shown:
        assert shown.width > 2 * 256 and shown.height > 256  # and names beside
    again = prepare(doubled, tmp_path / "out", plan, workers=1)
    assert again.about == made.about
    assert find_repeats(again) == find_repeats(made)
    assert tuple(find_repeats(made)) == made.about.notes.repeats
    # An interrupted call goes on, and a person who left is not shown any more.
    about = json.loads((tmp_path / "out/about.json").read_text())
    about |= {"complete": False, "notes": {}}
    (tmp_path / "out/about.json").write_text(json.dumps(about))
    assert prepare(doubled, tmp_path / "out", plan, workers=1).about == made.about
    next(doubled.glob("*_099/*")).unlink()
    assert prepare(doubled, tmp_path / "out", plan, workers=1).about.notes.repeats == ()
    assert not (tmp_path / "out/repeats.png").exists()


def test_heads_of_oblique_sets_are_compared_unturned(doubled, tmp_path):
    plan = SlicePlan(sequences=("t1",), plane="oblique", poses=2, size=24, field_mm=28)
    (note,) = prepare(doubled, tmp_path / "out", plan, workers=1).about.notes.repeats
    assert {note.subject, note.other} == {"BraTS20_Training_003", "BraTS20_Training_099"}


def test_both_verbs_warn(doubled, tmp_path):
    words = ["prepare", doubled, tmp_path / "out", "--sequence", "t1", "--workers", "1"]
    said = CliRunner().invoke(app, [*map(str, words), "--slices", "0.3:0.7", "--size", "24"]).output
    assert "Warning: BraTS20_Training_003 and BraTS20_Training_099 look like one person" in said
    assert "repeats.png; if they are one person, leave out one scan, or name both alike" in said
    for name, one in (people(6) | {"again": head(3)}).items():
        (tmp_path / f"pictures/{name}").mkdir(parents=True)
        for level, image in enumerate(one):
            picture = Image.fromarray(to_grey(2 * image - 1))
            picture.save(tmp_path / f"pictures/{name}/{level}.png")
    words = ["import", tmp_path / "pictures", tmp_path / "in", "--real", "--pixel-mm", "4"]
    said = CliRunner().invoke(app, list(map(str, words))).output
    assert "Warning: again and p3 look like one person" in said
    assert "by --subject, and import again" in said
    assert (tmp_path / "in/repeats.png").is_file()
