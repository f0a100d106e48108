"""The experiment with segmenters: terms, resumption, refusals, what it says of known sets."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import write_slices
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.data.pixels import StoredPixels
from mrgantry.data.slices import SliceSet
from mrgantry.detection.classical import Classical
from mrgantry.detection.options import USUAL
from mrgantry.pages import report, write_segmentation
from mrgantry.segmentation import segment
from mrgantry.segmentation.findings import read_segmentation
from mrgantry.segmentation.network import SegmenterTraining, draw_maps, untrained_segmenter
from mrgantry.segmentation.sets import open_mapped, open_synthetic_mapped
from mrgantry.segmentation.sources import ChangedImages, MappedImages
from squares import heads

pytest.importorskip("monai")
module = sys.modules["mrgantry.segmentation.experiment"]
QUICK = SegmenterTraining(batch=16, width=4, units=1, epoch=32, epochs=2, precision="fp32")
CLASSES = ("core", "oedema")


def SAY(text):
    pass


def squares(subjects, each, size=24, seed=0):
    """Heads whose bright squares are mapped: the upper half is class 1, the lower 2."""
    images, tumours = heads(subjects, each, size, seed)
    random = np.random.default_rng(seed)
    maps = np.zeros((len(images), size, size), np.uint8)
    for number, word in enumerate(tumours):
        if word == "yes":
            i, j = random.integers(size // 4, 3 * size // 4 - 6, 2)
            images[number, 0, i : i + 6, j : j + 6] = 0.9 + 0.05 * random.standard_normal((6, 6))
            maps[number, i : i + 3, j : j + 6] = 1
            maps[number, i + 3 : i + 6, j : j + 6] = 2
    return images.clip(-1, 1), maps, tumours


def write(folder, subjects, each, splits, first=0, seed=0, **options):
    images, maps, tumours = squares(subjects, each, seed=seed)
    names = [f"p{first + number:03d}" for number in range(subjects)]
    return write_slices(
        folder, images, list(np.repeat(names, each)),
        list(np.repeat(np.repeat(("train", "validation", "test"), splits), each)),
        tumour=tumours, maps=maps, **options,
    )  # fmt: skip


def as_synthetic(folder, images, maps, seen, classes=CLASSES):
    count = len(images)
    write_slices(
        folder, images, ["block"] * count, [""] * count,
        synthetic=True, maps=maps, classes=classes,
    )  # fmt: skip
    path = folder / "about.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training_subjects": list(seen)}))
    return folder


@pytest.fixture
def real(tmp_path):
    return write(tmp_path / "real", 12, 4, (5, 3, 4)).folder


@pytest.fixture
def synthetic(tmp_path):
    images, maps, _ = squares(6, 4, seed=9)
    return [as_synthetic(tmp_path / "made", images, maps, ["p000", "p001"])]


def test_the_whole_experiment_and_again_after_a_stop(real, synthetic, tmp_path, monkeypatch):
    said, everything = [], module.train_segmenter
    options = {"training": QUICK, "shares": (0.5, 1), "seeds": 1, "conditions": USUAL[::2]}

    def stopping(*args):
        if len(said) == 3:
            raise KeyboardInterrupt
        return everything(*args)

    monkeypatch.setattr(module, "train_segmenter", stopping)
    with pytest.raises(KeyboardInterrupt):
        segment(real, tmp_path / "out", synthetic, say=said.append, **options)
    assert len(list((tmp_path / "out/parts").glob("*.json"))) == 2
    assert said[0] == "1/4  none, share 0.5, seed 0: 3 subjects, 12 slices"
    monkeypatch.setattr(module, "train_segmenter", everything)
    found = segment(real, tmp_path / "out", synthetic, say=said.append, **options)
    assert len(said) == 3 + 2
    again = segment(real, tmp_path / "again", synthetic, say=SAY, **options)
    assert again.scores == found.scores and again.effects == found.effects
    assert read_segmentation(tmp_path / "out") == found
    assert found.answer.one.condition == "synthetic" and found.answer.measure == "dice"
    assert {case.kind for case in found.cases} == {"best", "median", "worst"}

    # What is scored is what was drawn, and one row a person and segmenter stands in the table.
    run = found.runs[0]
    with np.load(run.drawn(tmp_path / "out")) as stored:
        drawn = stored["maps"]
    test = open_mapped(real).test
    person = (test.table["subject"] == run.tested[0]).to_numpy()
    held, real_maps = drawn[person] > 0, test.maps[person] > 0
    total = held.sum() + real_maps.sum()
    dice = 2 * (held & real_maps).sum() / total if total else 1
    assert run.values["dice"][0] == pytest.approx(dice)
    assert len(pd.read_csv(tmp_path / "out/people.csv")) == 4 * 4

    # The page stands by itself and shows every condition's answer to each case.
    said_of_page = write_segmentation(tmp_path / "out", found)
    page = (tmp_path / "out/segmentation.html").read_text()
    assert said_of_page in page and page.count("<figcaption>as mapped") == 3
    for words in ("with too few seeds to tell: Dice", "Class by class", "■", "Over the share"):
        assert words in page, words
    assert "NaN" not in page and "None" not in page and "%, %" not in page

    report([real, tmp_path / "out"], tmp_path / "report.html")
    assert f"{said_of_page}." in (tmp_path / "report.html").read_text()

    with pytest.raises(RunError, match="networks that this call leaves out"):
        segment(real, tmp_path / "out", synthetic, say=SAY, **options | {"shares": (1,)})
    with pytest.raises(RunError, match="begun otherwise: real_share was 0.5, now 0.2"):
        segment(real, tmp_path / "out", synthetic, say=SAY, real_share=0.2, **options)


def test_images_that_obey_their_maps_are_told_from_those_that_do_not(real, tmp_path):
    """Maps of test people may be looked at; what is learnt from real images alone looks."""
    images, maps, _ = squares(6, 4, seed=9)
    obedient = as_synthetic(tmp_path / "obedient", images, maps, ["p000", "p011"])
    elsewhere = as_synthetic(tmp_path / "elsewhere", images, np.roll(maps, 9, 2), ["p000"])
    options = {"conditions": ("none", "classical"), "seeds": 1, "say": SAY}
    training = QUICK.model_copy(update={"epochs": 12, "epoch": 128, "width": 8})
    found = segment(
        real, tmp_path / "out", judged=[obedient, elsewhere], training=training, **options
    )
    by_name = {(score.name, score.condition): score for score in found.obedience}
    real_score, good, bad = (by_name[name, "none"] for name in ("", "obedient", "elsewhere"))
    assert real_score.share is None and real_score.images == int(
        open_mapped(real).test.maps.any((1, 2)).sum()
    )
    assert good.images == bad.images == int(maps.any((1, 2)).sum())
    # Drawn as real ones are, they are found as well; moved maps are not where the squares are.
    assert real_score.value > 0.4 and good.share > 0.7 and bad.share < 0.3
    assert good.share == pytest.approx(good.value / real_score.value)
    assert len(good.classes) == 2
    assert read_segmentation(tmp_path / "out") == found
    write_segmentation(tmp_path / "out", found)
    page = (tmp_path / "out/segmentation.html").read_text()
    assert "Do images show what their maps say?" in page and "<th>elsewhere</th>" in page
    with pytest.raises(RunError, match="judged"):
        segment(real, tmp_path / "out", judged=[obedient], training=training, **options)
    nothing = as_synthetic(tmp_path / "nothing", images, maps * 0, [])
    with pytest.raises(DataError, match="Nothing is mapped on any image"):
        segment(real, tmp_path / "new", judged=[nothing], training=QUICK, **options)


def test_a_generator_that_knows_the_test_is_refused(real, tmp_path):
    images, maps, _ = squares(2, 4)
    for name, split in (("p011", "test"), ("p006", "validation")):
        folder = as_synthetic(tmp_path / split, images, maps, ["p000", name])
        with pytest.raises(DataError, match=f"has seen {name} of the {split} split"):
            segment(real, tmp_path / "out", [folder], training=QUICK, say=SAY)
    assert not (tmp_path / "out").exists()


def test_sets_without_maps_or_with_other_classes_are_refused(real, synthetic, tmp_path):
    images, maps, _ = squares(2, 4)
    count = len(images)
    write_slices(tmp_path / "plain", images, ["x"] * count, [""] * count, synthetic=True)
    opened = open_mapped(real)
    with pytest.raises(DataError, match="has no label maps"):
        open_synthetic_mapped([tmp_path / "plain"], opened)
    as_synthetic(tmp_path / "other", images, maps, [], ("core", "edema"))
    with pytest.raises(DataError, match="tell apart core, edema, those of .* core, oedema"):
        open_synthetic_mapped([tmp_path / "other"], opened)
    as_synthetic(tmp_path / "empty", images, maps * 0, [])
    with pytest.raises(DataError, match="Nothing is mapped on any synthetic image"):
        open_synthetic_mapped([tmp_path / "empty"], opened)
    with pytest.raises(DataError, match="judged by real ones alone"):
        open_mapped(synthetic[0])


def test_a_split_that_lacks_people_or_maps_is_told(tmp_path):
    with pytest.raises(DataError, match="has no validation subjects"):
        open_mapped(write(tmp_path / "a", 8, 4, (4, 0, 4)).folder)
    with pytest.raises(DataError, match="1 test subjects of .* have something mapped; 4 are"):
        open_mapped(write(tmp_path / "b", 4, 4, (2, 1, 1)).folder)
    images, maps, _ = squares(9, 2)
    splits = list(np.repeat(("train", "validation", "test"), (8, 2, 8)))
    maps[8:10] = 0
    data = write_slices(
        tmp_path / "c", images, [f"p{n // 2}" for n in range(18)], splits, maps=maps
    )
    with pytest.raises(DataError, match="The split 'validation' .* has nothing mapped"):
        open_mapped(data.folder)


def test_without_synthetic_images_only_what_needs_none(real, tmp_path):
    with pytest.raises(RecipeError, match="needs synthetic images"):
        segment(real, tmp_path / "out", training=QUICK, say=SAY)


def test_maps_are_changed_as_their_images_are():
    """An image that is its map: wherever one is moved, the other is found."""
    _, maps, _ = squares(4, 4, size=48)
    known = torch.from_numpy(maps)
    images = (2 * (known > 0).float() - 1)[:, None].to(torch.float16)
    source = MappedImages(StoredPixels(images), known)
    changed = ChangedImages(source, Classical(turn=40, shift=0.2, zoom=0.2), 64, seed=3)
    moved_images, moved_maps = changed.batch(torch.arange(64))
    assert (moved_maps[1::2] > 0).any((1, 2)).float().mean() > 0.9
    agree = ((moved_images[:, 0] > 0) == (moved_maps > 0)).float().mean()
    assert agree > 0.999
    assert set(moved_maps.unique().tolist()) == {0, 1, 2}
    again = changed.batch(torch.tensor([7]))
    assert torch.equal(again[1][0], moved_maps[7])


def test_a_pixel_takes_the_likeliest_class(real):
    data = open_mapped(real).test
    segmenter = untrained_segmenter(QUICK, 1, 2, bf16=False)
    with torch.no_grad():
        for parameter in segmenter.parameters():
            parameter.zero_()
        list(segmenter.parameters())[-1].copy_(torch.tensor([0.0, 1.0, 0.5]))
    maps = draw_maps(segmenter, MappedImages.of(data, torch.device("cpu")))
    assert maps.shape == data.maps.shape and (maps == 1).all()


SLOW = SegmenterTraining(
    batch=32, width=8, units=1, lr=3e-3, epoch=256, epochs=12, patience=12, precision="fp32"
)


@pytest.mark.slow
@pytest.mark.parametrize("shifted", [False, True])
def test_it_says_when_images_help_and_when_they_hurt(shifted, tmp_path):
    """Real images of 40 further people help those of 2; with maps moved off, they hurt 20."""
    own = 20 if shifted else 2
    real = write(tmp_path / "real", own + 25, 8, (own, 5, 20))
    images, maps, _ = squares(40, 8, seed=5)
    if shifted:
        maps = np.roll(maps, 8, axis=2)
    as_synthetic(tmp_path / "more", images, maps, [f"q{number}" for number in range(40)])
    found = segment(
        real.folder, tmp_path / "out", [tmp_path / "more"],
        conditions=("none", "synthetic"), ratios=(2.0,), training=SLOW, say=SAY,
    )  # fmt: skip
    assert found.answer.verdict == ("hurts" if shifted else "helps")


def test_sets_are_opened_as_they_were_written(synthetic):
    assert SliceSet.open(synthetic[0]).about.classes == CLASSES


def test_the_documentation_lists_every_setting():
    text = (Path(__file__).parents[2] / "docs/SEGMENTATION.md").read_text(encoding="utf-8")
    for key in set(SegmenterTraining.keys()) - {"seed"}:
        assert f"`{key}`" in text, key
