import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from conftest import write_slices
from mrgantry.common.errors import DataError, DivergedError, RecipeError, RunError
from mrgantry.data.notes import Repeat
from mrgantry.data.pixels import StoredPixels
from mrgantry.detection.classical import Classical
from mrgantry.detection.classifier import ClassifierTraining
from mrgantry.detection.experiment import DetectionTerms, detect, learnt_from
from mrgantry.detection.findings import NetworkRun, read_detection
from mrgantry.detection.maps import read_map
from mrgantry.detection.options import USUAL, cells_of, changes_of, conditions_of
from mrgantry.detection.sets import draw_subjects, open_real, open_synthetic, remarks_on
from mrgantry.detection.sources import Images
from squares import as_synthetic, heads, write

module = sys.modules["mrgantry.detection.experiment"]
maps = sys.modules["mrgantry.detection.maps"]
QUICK = ClassifierTraining(
    network="small", weights="scratch", batch=16, epoch=32, epochs=2, precision="fp32", crop=1
)


def SAY(text):
    pass


@pytest.fixture
def real(tmp_path):
    return write(tmp_path / "real", 12, 4, (5, 3, 4)).folder


@pytest.fixture
def synthetic(tmp_path):
    """Two sets, as two generators make them: one of tumours, one without."""
    images, tumours = heads(6, 4, seed=9)
    rows = np.array(tumours) == "yes"
    seen = [f"p{number:03d}" for number in range(5)]
    for word, some in (("yes", rows), ("no", ~rows)):
        as_synthetic(tmp_path / word, images[some], [word] * int(some.sum()), seen)
    return [tmp_path / "yes", tmp_path / "no"]


@pytest.fixture
def quick_map(monkeypatch):
    places = {"real, tumour": np.zeros((2, 2)), "real, no tumour": np.ones((3, 2))}
    monkeypatch.setattr(maps, "tsne", lambda groups, **options: places)


def test_the_whole_experiment_and_again_after_a_stop(
    real, synthetic, tmp_path, monkeypatch, quick_map
):
    said, everything = [], module.train_classifier
    options = {"training": QUICK, "shares": (0.5,), "seeds": 1, "ratios": (0.5,)}

    def stopping(*args):
        if len(said) == 3:
            raise KeyboardInterrupt
        return everything(*args)

    monkeypatch.setattr(module, "train_classifier", stopping)
    with pytest.raises(KeyboardInterrupt):
        detect(real, tmp_path / "out", synthetic, say=said.append, **options)
    assert len(list((tmp_path / "out/parts").iterdir())) == 2
    assert said[0] == "1/4  none, share 0.5, seed 0: 3 subjects, 12 slices"
    monkeypatch.setattr(module, "train_classifier", everything)
    found = detect(real, tmp_path / "out", synthetic, say=said.append, **options)
    assert len(said) == 3 + 2
    again = detect(real, tmp_path / "again", synthetic, say=SAY, **options)
    assert [effect.value for effect in again.effects] == [effect.value for effect in found.effects]
    assert again.scores == found.scores
    assert read_detection(tmp_path / "out") == found

    assert [one.condition for one in found.main] == list(USUAL)
    assert found.seeds == (0,) and len(found.runs) == 4
    assert found.answer.one.condition == "classical+synthetic"
    assert found.answer.other.condition == "classical" and found.answer.one.share == 0.5
    assert any("At shares of 50% networks learn from 3" in remark for remark in found.remarks)
    answers = pd.read_csv(tmp_path / "out/answers.csv")
    assert len(answers) == 4 * len(open_real(real).test)
    ours = answers[answers["condition"] == "none"]
    right = ((ours["probability"] >= 0.5) == (ours["tumour"] == "yes")).mean()
    assert right == pytest.approx(found.score(found.main[0], "accuracy").seeds[0])
    assert list(read_map(tmp_path / "out")) == ["real, tumour", "real, no tumour"]
    assert "--set network=small" in found.command and "--shares 0.5 " in found.command

    calls = len(said)
    more = detect(
        real,
        tmp_path / "out",
        synthetic,
        say=said.append,
        **options | {"seeds": 2},
    )
    assert len(said) - calls == 4 and more.seeds == (0, 1)
    for less in ({"seeds": 1}, {"seeds": 2, "conditions": USUAL[:2]}):
        with pytest.raises(RunError, match="networks that this call leaves out"):
            detect(real, tmp_path / "out", synthetic, say=SAY, **options | less)
    options["seeds"] = 2
    with pytest.raises(RunError, match="begun otherwise: real_share was 0.5, now 0.2"):
        detect(real, tmp_path / "out", synthetic, say=SAY, real_share=0.2, **options)
    with pytest.raises(RunError, match="begun otherwise: synthetic"):
        detect(real, tmp_path / "out", synthetic[::-1], say=SAY, **options)
    with pytest.raises(RunError, match="is not an experiment"):
        detect(real, real, synthetic, say=SAY, **options)


def test_classifiers_of_a_seed_differ_only_by_their_images(
    real, synthetic, tmp_path, monkeypatch, quick_map
):
    calls, everything = [], module.train_classifier

    def looking(source, validation, training, where):
        some = source.batch(torch.linspace(0, len(source) - 1, 40).long())[0]
        calls.append((training.model_dump_json(), float(some.sum())))
        return everything(source, validation, training, where)

    monkeypatch.setattr(module, "train_classifier", looking)
    training = QUICK.model_copy(update={"epoch": None, "epochs": 1})
    conditions = [*USUAL, "synthetic alone"]
    detect(
        real, tmp_path / "o", synthetic, conditions=conditions, training=training, seeds=1, say=SAY
    )
    assert len(calls) == 5 and len({one for one, _ in calls}) == 1
    assert '"epoch":20' in calls[0][0]  # as many as there are real ones to learn from
    assert len({total for _, total in calls}) == 5


def test_a_generator_that_knows_the_test_is_refused(real, tmp_path):
    images, tumours = heads(2, 4)
    for name, split in (("p011", "test"), ("p006", "validation")):
        folder = tmp_path / split
        as_synthetic(folder, images, tumours, ["p000", name])
        with pytest.raises(DataError, match=f"has seen {name} of the {split} split"):
            detect(real, tmp_path / "out", [folder], training=QUICK, say=SAY)
    assert not (tmp_path / "out").exists()


def test_real_images_of_test_subjects_are_refused_too(real, tmp_path):
    shutil.copytree(real, tmp_path / "copy")
    with pytest.raises(
        DataError, match="is no synthetic set, and holds real images of p008 of the test split"
    ):
        detect(real, tmp_path / "out", [tmp_path / "copy"], training=QUICK, say=SAY)


def test_both_labels_must_be_there(real, synthetic, tmp_path):
    with pytest.raises(DataError, match="have none with tumour=no"):
        detect(real, tmp_path / "out", synthetic[:1], training=QUICK, say=SAY)


def test_synthetic_images_judge_nothing(synthetic, tmp_path):
    with pytest.raises(DataError, match="judged by real ones alone"):
        detect(synthetic[0], tmp_path / "out", synthetic, training=QUICK, say=SAY)


def test_a_set_of_other_size_is_refused(real, tmp_path):
    as_synthetic(tmp_path / "small", *heads(2, 4, size=16), [])
    with pytest.raises(DataError, match=r"has 1 channel\(s\) of 16 pixels, .* has 1 of 24"):
        detect(real, tmp_path / "out", [tmp_path / "small"], training=QUICK, say=SAY)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"conditions": ["none"]}, "two or more conditions"),
        ({"conditions": ["none", "clasical"]}, "no condition 'clasical'; there are 'none', 'cl"),
        (
            {"conditions": ["none", "classical"], "training": ClassifierTraining(network="small")},
            "has no weights trained on ImageNet",
        ),
        ({}, "needs synthetic images"),
        ({"conditions": ["none", "classical"], "shares": [0]}, r"lie in \(0, 1\]"),
        ({"conditions": ["none", "classical"], "seeds": 0}, "1 seed or more"),
        ({"conditions": ["none", "classical"], "ratios": [-1]}, "greater than 0"),
        ({"conditions": ["none", "classical"], "real_share": 2}, "it is 2"),
        (
            {"conditions": ["none", "classical"], "training": ClassifierTraining(seed=2)},
            "take --seed",
        ),
    ],
)
def test_options_that_cannot_be(options, sentence, tmp_path):
    with pytest.raises(RecipeError, match=sentence):
        detect(tmp_path / "absent", tmp_path / "out", say=SAY, **options)


def test_the_order_of_words_in_a_condition_is_free():
    assert conditions_of(["none", "synthetic+classical"], True) == ("none", "classical+synthetic")


def test_a_split_that_is_not_there_is_told_with_the_remedy(tmp_path):
    data = write(tmp_path / "real", 8, 4, (4, 0, 4))
    with pytest.raises(DataError, match=r"no validation subjects.*--splits 0.6:0.15:0.25"):
        open_real(data.folder)


def test_conditions_that_nobody_compares(real, synthetic, tmp_path):
    with pytest.raises(RecipeError, match="add --condition none"):
        detect(real, tmp_path / "out", synthetic, conditions=["classical", "synthetic alone"])


def test_without_synthetic_images_and_with_other_terms_before_the_first_classifier(
    real, tmp_path, quick_map, monkeypatch
):
    options = {"conditions": USUAL[:2], "seeds": 3, "say": SAY}
    diverging = QUICK.model_copy(update={"lr": 0.9})

    def failing(*args):
        raise DivergedError("The classifier's loss became nan.")

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_classifier", failing)
        with pytest.raises(DivergedError):
            detect(real, tmp_path / "out", training=diverging, **options)
    found = detect(real, tmp_path / "out", training=QUICK, **options)  # as the advice says
    assert found.answer.one.condition == "classical" and found.synthetic == ()
    assert found.answer.verdict != "too few seeds"
    assert found.score(found.main[0], "ece").low is None


def test_a_share_with_one_label_is_refused_before_anything_is_trained(tmp_path):
    images, tumours = heads(12, 4)
    names = np.repeat([f"p{number:03d}" for number in range(12)], 4)
    words = ["no" if name < "p003" else word for name, word in zip(names, tumours, strict=True)]
    splits = np.repeat(("train", "validation", "test"), (16, 16, 16))
    write_slices(tmp_path / "real", images, list(names), list(splits), tumour=words)
    with pytest.raises(DataError, match=r"0.25 of the training subjects \(1, seed \d\)"):
        detect(
            tmp_path / "real", tmp_path / "out", conditions=USUAL[:2], shares=(0.25, 1), seeds=6,
            training=QUICK, say=SAY,
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("count", "ratio"), [(14, 1.0), (30, 0.5), (3, 2.0), (20, 1.0)])
def test_every_synthetic_image_has_its_turn(real, count, ratio):
    own = Images.of(open_real(real).train, torch.device("cpu"))  # 20 slices
    labels = torch.zeros(count, dtype=torch.int64)
    made = Images(StoredPixels(torch.zeros(count, 1, 24, 24, dtype=torch.float16)), labels)
    cell = NetworkRun(condition="synthetic", share=1, ratio=ratio, seed=0)
    terms = DetectionTerms(
        data="",
        synthetic=(),
        only=(),
        training=QUICK,
        classical=Classical(),
        real_share=0.5,
        seed=0,
    )
    mixture = learnt_from(cell, own, made, terms)
    first, second = mixture.counts
    assert second >= count and second / first == pytest.approx(ratio)
    assert first % len(own) == 0  # every real image as often as any other


def test_what_makes_a_gain_doubtful_is_remarked(real, synthetic, tmp_path):
    data, sets = open_real(real), open_synthetic(synthetic, open_real(real))
    assert list(remarks_on(sets, data, [1.0])) == []
    data.train.table["pixel_mm"] = 0.0  # not known: nothing is compared
    assert list(remarks_on(sets, data, [1.0])) == []
    data.train.table["pixel_mm"] = 1.0
    sets[0].table["sequence"], sets[0].table["pixel_mm"] = "t2", 9.0
    facts = {"subject": "p000", "split": "train", "ratio": 0.1, "distance": 0.1}
    facts |= {"id": "", "other_id": ""}
    across = Repeat(**facts, other="p009", other_split="test")
    within = Repeat(**facts, other="p001", other_split="train")
    notes = data.whole.about.notes.model_copy(update={"repeats": (across, within)})
    whole = replace(data.whole, about=data.whole.about.model_copy(update={"notes": notes}))
    data = replace(data, whole=whole)
    as_synthetic(tmp_path / "unknown", heads(6, 4)[0], ["yes"] * 21 + ["no"] * 3, [])
    sets += open_synthetic([tmp_path / "unknown"], data)
    said = list(remarks_on(sets, data, [1.0]))
    for words in (
        "look like one person: p000 (train) and p009 (test).",
        "yes has images of sequence t2, which",
        "Pixels of yes are 9.00 mm wide",
        "unknown does not tell whom its generator has seen",
    ):
        assert any(words in one for one in said), words
    assert len(said) == 4
    alone = list(remarks_on(sets[2:], data, [1.0]))
    assert "88% of the synthetic images have a tumour, and 50% of the real" in alone[-1]


def test_shares_are_nested_and_by_subject(real):
    names = [f"s{number}" for number in range(30)]
    few, some, all_of_them = (draw_subjects(names, share, 4) for share in (0.1, 0.5, 1))
    assert len(few) == 3 and len(some) == 15 and set(few) < set(some)
    assert all_of_them == sorted(names)
    assert draw_subjects(names, 0.1, 5) != few
    data = open_real(real)
    part = data.at(0.5, 0)
    assert part.table["subject"].nunique() == 3 and len(part) == 12


def test_nothing_is_trained_twice():
    conditions = ["none", "synthetic", "synthetic alone"]
    cells = cells_of(conditions, 2, [1, 0.5, 1], [1, 0.5])
    # A curve over shares at the ratio 1, one over ratios at the greatest share.
    assert len(cells) == len(set(cells)) == 2 * (2 + 3 + 1)
    assert cells[0] == NetworkRun(condition="none", share=0.5, seed=0)
    assert {cell.share for cell in cells if cell.condition == "synthetic alone"} == {1}


def test_changes_repeat_the_training():
    assert changes_of(QUICK) == (
        "batch=16", "epoch=32", "epochs=2", "precision=fp32", "network=small", "weights=scratch",
        "crop=1.0",
    )  # fmt: skip


SLOW = ClassifierTraining(
    network="small", weights="scratch", batch=32, lr=2e-3, epoch=512, epochs=10, patience=10,
    precision="fp32", crop=1, dropout=0.2,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("swapped", [False, True])
def test_it_says_when_images_help_and_when_they_hurt(swapped, tmp_path):
    """Real images of 60 further people help those of 4; with labels swapped they hurt those of 40.

    Where classifiers know little, wrong labels have little to spoil: stopping by validation
    images keeps them at guessing.
    """
    own = 40 if swapped else 4
    real = write(tmp_path / "real", own + 45, 8, (own, 5, 40), size=32)
    images, tumours = heads(60, 8, 32, seed=5)
    if swapped:
        tumours = ["no" if tumour == "yes" else "yes" for tumour in tumours]
    as_synthetic(tmp_path / "more", images, tumours, [f"q{number}" for number in range(60)])
    found = detect(
        real.folder,
        tmp_path / "out",
        [tmp_path / "more"],
        conditions=("none", "synthetic"),
        ratios=(4.0,),
        training=SLOW,
        say=SAY,
    )
    assert found.answer.verdict == ("hurts" if swapped else "helps")
    assert found.differences_in("auc")[0].verdict == ("hurts" if swapped else "helps")


def test_the_documentation_lists_every_setting():
    text = (Path(__file__).parents[2] / "docs/DETECTION.md").read_text(encoding="utf-8")
    for key in {*ClassifierTraining.keys(), *Classical.keys()} - {"seed"}:
        assert f"`{key}`" in text, key
