import json
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError
from mrgantry.common.score import read_scores
from mrgantry.evaluate import evaluate


@pytest.fixture
def real(tmp_path):
    images = blobs(240, 32)
    subjects = [f"s{i // 10:02d}" for i in range(240)]
    splits = ["train" if i < 120 else "test" for i in range(240)]
    return write_slices(tmp_path / "real", images, subjects, splits)


def synthetic_set(folder, images, name="good"):
    return write_slices(
        folder / name, images, ["all"] * len(images), [""] * len(images), synthetic=True
    )


def by_name(scores, features=None):
    return {s.name: s for s in scores if features is None or s.features == features}


@pytest.mark.slow
def test_good_images_score_as_real_ones_and_bad_ones_do_not(real, tmp_path, monkeypatch):
    module = sys.modules["mrgantry.evaluate.evaluate"]
    everything = module.all_measures  # the classifiers have tests of their own, and take minutes
    monkeypatch.setattr(
        module,
        "all_measures",
        lambda *a: (one for one in everything(*a) if not one.name.startswith("c2st")),
    )
    good = synthetic_set(tmp_path, blobs(150, 32, seed=9))
    flatter = (blobs(150, 32, seed=8).astype(np.float32) * 0.5 - 0.5).astype(np.float16)
    bad = synthetic_set(tmp_path, flatter, "bad")
    one = synthetic_set(tmp_path, np.repeat(blobs(1, 32), 150, 0), "one")
    copies = synthetic_set(tmp_path, real.images[:100], "copies")
    sets = [good, bad, one, copies]
    scores = evaluate(real.folder, tmp_path / "out", [s.folder for s in sets])
    of = {s.name: by_name([x for x in scores if x.synthetic == s.name]) for s in sets}
    assert of["good"]["relative_fd"].value == pytest.approx(1, abs=0.4)
    assert of["bad"]["relative_fd"].value > 3
    assert of["one"]["ms_ssim_pairs"].value > of["one"]["ms_ssim_pairs"].floor_high
    assert of["one"]["delta"].value == 0 and of["one"]["sigma"].value == 0
    assert of["copies"]["nearest_training_ratio"].value == 0
    assert of["good"]["nearest_training_ratio"].value == pytest.approx(1, abs=0.15)
    for score in scores:
        rounding = 1e-9 * abs(score.value)
        assert score.low - rounding <= score.value <= score.high + rounding
        assert score.n_real == score.n_synthetic > 0


def test_files_say_where_scores_come_from(real, tmp_path, few_draws):
    good = synthetic_set(tmp_path, blobs(60, 32, seed=9))
    scores = evaluate(real.folder, tmp_path / "out", [good.folder], seed=3)
    assert read_scores(tmp_path / "out") == scores
    rows = json.loads((tmp_path / "out/scores.json").read_text())
    wanted = {"name", "value", "low", "high", "n_real", "n_synthetic", "method", "seed"}
    assert all(wanted <= row.keys() for row in rows)
    assert {row["seed"] for row in rows} == {3}
    assert {row["real_fingerprint"] for row in rows} == {real.about.fingerprint}
    assert {"relative_fd", "c2st_cnn", "rho_coded", "sigma", "delta"} <= {r["name"] for r in rows}
    facts = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert facts["real"]["subjects"] == 12
    assert facts["real"]["split"] == "test"
    assert len((tmp_path / "out/scores.csv").read_text().splitlines()) == len(rows) + 1
    again = evaluate(real.folder, tmp_path / "again", [good.folder], seed=3)
    assert again == scores


def test_floors_are_computed_once_and_are_the_same(real, tmp_path, monkeypatch):
    module = sys.modules["mrgantry.evaluate.evaluate"]
    everything, computed = module.all_measures, []

    def counted(measure):
        def compute(half, other, seed):
            computed.append(measure.name)
            return measure.compute(half, other, seed)

        return replace(measure, compute=compute, draws=2)

    monkeypatch.setattr(module, "c2st_cnn", partial(module.c2st_cnn, steps=3))
    monkeypatch.setattr(module, "all_measures", lambda *a: [counted(m) for m in everything(*a)])
    folders = {
        name: synthetic_set(tmp_path, blobs(count, 32, seed=seed), name).folder
        for name, count, seed in (("one", 60, 9), ("two", 60, 8), ("fewer", 40, 7))
    }
    floors, kept, costs = {}, [], []
    for name, folder in folders.items():
        computed.clear()
        kept += evaluate(real.folder, tmp_path / f"scores-{name}", [folder], floors=floors)
        costs.append(computed.count("c2st_cnn"))
    assert costs == [4, 2, 4]  # another number of images gives other halves
    alone = [evaluate(real.folder, tmp_path / f"alone-{n}", [folders[n]]) for n in ("two", "fewer")]
    assert kept[len(kept) // 3 :] == [*alone[0], *alone[1]]
    computed.clear()
    evaluate(real.folder, tmp_path / "seed", [folders["one"]], floors=floors, seed=1)
    assert computed.count("c2st_cnn") == 4


def test_a_generator_that_saw_a_test_subject_is_refused(real, tmp_path):
    seen = synthetic_set(tmp_path, blobs(20, 32))
    about = json.loads((seen.folder / "about.json").read_text())
    about["training_subjects"] = ["s00", "s13"]
    (seen.folder / "about.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match="has seen subject s13 of the test split"):
        evaluate(real.folder, tmp_path / "out", [seen.folder])


def test_what_differs_in_size_is_refused(real, tmp_path):
    other = synthetic_set(tmp_path, blobs(20, 16))
    with pytest.raises(DataError, match=r"has 1 channel\(s\) of 16 pixels"):
        evaluate(real.folder, tmp_path / "out", [other.folder])


def test_an_empty_split_is_refused(real, tmp_path):
    good = synthetic_set(tmp_path, blobs(20, 32))
    with pytest.raises(DataError, match="no images in the split 'validation'"):
        evaluate(real.folder, tmp_path / "out", [good.folder], against="validation")
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(real.folder, tmp_path / "out", [])


def test_too_few_subjects_are_refused(tmp_path):
    subjects = [f"s{i // 10}" for i in range(60)]
    splits = ["train" if i < 30 else "test" for i in range(60)]
    few = write_slices(tmp_path / "few", blobs(60, 32), subjects, splits)
    good = synthetic_set(tmp_path, blobs(20, 32))
    with pytest.raises(DataError, match=r"has 3 subject\(s\); scores need 4"):
        evaluate(few.folder, tmp_path / "out", [good.folder])


def test_sets_of_one_name_are_refused(real, tmp_path):
    one = synthetic_set(tmp_path / "a", blobs(20, 32))
    two = synthetic_set(tmp_path / "b", blobs(20, 32, seed=1))
    with pytest.raises(DataError, match="told apart by the names"):
        evaluate(real.folder, tmp_path / "out", [one.folder, two.folder])


def test_the_training_split_can_be_compared_with(real, tmp_path, few_draws):
    good = synthetic_set(tmp_path, blobs(60, 32, seed=9))
    scores = evaluate(real.folder, tmp_path / "out", [good.folder], against="train")
    assert "nearest_training_ratio" not in {score.name for score in scores}
    assert "relative_fd" in {score.name for score in scores}
