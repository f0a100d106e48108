import json
from dataclasses import replace

import numpy as np
import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RunError
from mrgantry.common.score import read_scores
from mrgantry.evaluation import evaluate, reference
from mrgantry.evaluation.differences import differences
from mrgantry.evaluation.measures import classifiers
from mrgantry.evaluation.measures import listed as measures
from mrgantry.evaluation.scoring import Floors
from mrgantry.evaluation.verdict import VERDICT_QUESTIONS, read_verdicts


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
    monkeypatch.setattr(classifiers, "MOST_STEPS", 150)
    good = synthetic_set(tmp_path, blobs(240, 32, seed=9))
    flatter = (blobs(240, 32, seed=8).astype(np.float32) * 0.5 - 0.5).astype(np.float16)
    bad = synthetic_set(tmp_path, flatter, "bad")
    one = synthetic_set(tmp_path, np.repeat(blobs(1, 32), 240, 0), "one")
    copies = synthetic_set(tmp_path, np.repeat(real.images[:120], 2, 0), "copies")
    sets = [good, bad, one, copies]
    scores = evaluate(real.folder, tmp_path / "out", [s.folder for s in sets])
    of = {}
    for made in sets:
        own = [score for score in scores if score.synthetic == made.name]
        of[made.name] = by_name(own, "random-net") | by_name(own, "pixels")
    assert 0.4 < of["good"]["relative_fd"].value < 1.6  # few images, and some of them odd
    assert of["bad"]["relative_fd"].value > 3
    for name in ("c2st_logistic_auc", "c2st_cnn_auc", "c2st_low_pass_auc"):
        assert of["good"][name].low < 0.5
    assert of["bad"]["c2st_cnn_auc"].low > 0.9 < of["bad"]["c2st_low_pass_auc"].low
    assert of["bad"]["precision"].value < 0.1
    assert of["good"]["precision"].value > 0.7
    assert of["one"]["ms_ssim_pairs"].verdict == of["one"]["coverage"].verdict == "worse"
    assert of["one"]["delta"].value == 0 and of["one"]["sigma"].value == pytest.approx(0, abs=1e-6)
    assert of["copies"]["copying_ratio"].value < 1e-3
    assert of["copies"]["copying_ratio"].verdict == "worse"
    assert of["good"]["copying_ratio"].value == pytest.approx(1, abs=0.15)
    for score in scores:
        rounding = 1e-9 * abs(score.value)
        assert score.low - rounding <= score.value <= score.high + rounding
        assert score.n_real == score.n_synthetic > 0
    said = {answers.set: answers for answers in read_verdicts(tmp_path / "out")}
    assert said["bad"].told_apart.answer == "yes" == said["copies"].copies.answer
    assert said["one"].less_varied.answer == "yes"
    assert said["good"].told_apart.answer != "yes" != said["good"].copies.answer


def test_files_say_where_scores_come_from(real, tmp_path, few_draws):
    good = synthetic_set(tmp_path, blobs(60, 32, seed=9))
    scores = evaluate(real.folder, tmp_path / "out", [good.folder], seed=3)
    assert read_scores(tmp_path / "out") == scores
    assert scores.said[0].startswith("good: ") and "relative_fd" in repr(scores)
    assert len(scores.table) == len(scores) and "<table" in scores._repr_html_()
    rows = json.loads((tmp_path / "out/scores.json").read_text())
    wanted = {"name", "value", "low", "high", "n_real", "n_synthetic", "method", "seed"}
    assert all(wanted <= row.keys() for row in rows)
    assert {row["seed"] for row in rows} == {3}
    assert {row["real_fingerprint"] for row in rows} == {real.about.fingerprint}
    assert {"relative_fd", "c2st_cnn_auc", "rho_coded", "sigma", "delta"} <= {
        r["name"] for r in rows
    }
    facts = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert facts["real"]["subjects"] == 12
    assert facts["real"]["split"] == "test"
    assert len((tmp_path / "out/scores.csv").read_text().splitlines()) == len(rows) + 1
    again = evaluate(real.folder, tmp_path / "again", [good.folder], seed=3)
    assert again == scores


def test_floors_are_computed_once_and_are_the_same(real, tmp_path, monkeypatch):
    everything, computed, judged = reference.all_measures, [], []

    def counted(measure):
        def compute(pair):
            computed.append(measure.kinds[0].name)
            return measure.compute(pair)

        return replace(measure, compute=compute, draws=2)

    def counted_network(task):
        judged.append(len(task.judged))
        return classifiers.network(task, most_steps=1)

    tests = measures.all_tests
    monkeypatch.setattr(
        reference, "all_measures", lambda *a, **k: [counted(m) for m in everything(*a, **k)]
    )
    monkeypatch.setattr(
        reference,
        "all_tests",
        lambda *a: [replace(next(tests(*a)), learner=counted_network)],
    )
    folders = {
        name: synthetic_set(tmp_path, blobs(count, 32, seed=seed), name).folder
        for name, count, seed in (("one", 60, 9), ("two", 60, 8), ("fewer", 40, 7))
    }
    floors, kept, costs = Floors(), [], []
    for name, folder in folders.items():
        computed.clear()
        judged.clear()
        kept += evaluate(real.folder, tmp_path / f"scores-{name}", [folder], floors=floors)
        costs.append((computed.count("spectral_radius"), len(judged)))
    assert costs == [(4, 8), (2, 4), (4, 8)]  # another number of images gives other halves
    alone = [evaluate(real.folder, tmp_path / f"alone-{n}", [folders[n]]) for n in ("two", "fewer")]
    assert kept[len(kept) // 3 :] == [*alone[0], *alone[1]]
    computed.clear()
    evaluate(real.folder, tmp_path / "seed", [folders["one"]], floors=floors, seed=1)
    assert computed.count("spectral_radius") == 4


def test_images_behind_a_grid_are_told_apart_and_ranked_last(real, tmp_path, few_draws):
    """A generator that leaves a faint grid must not pass, nor be preferred by any answer."""
    plain = blobs(120, 32, seed=9)
    grid = np.where((np.indices((32, 32)) % 4 == 0).any(0), 0.08, -0.04).astype(np.float16)
    behind = synthetic_set(tmp_path, (plain + grid).clip(-1, 1), "behind")
    clean = synthetic_set(tmp_path, plain, "clean")
    folders = [behind.folder, clean.folder]
    scores = evaluate(real.folder, tmp_path / "out", folders, maps=False)
    first, second = read_verdicts(tmp_path / "out")
    assert first.told_apart.answer == "yes" and first.told_apart.interval[0] > 0.95
    assert second.told_apart.answer != "yes"
    nearer = [
        difference.nearer
        for difference in differences(scores)
        if difference.nearer and difference.score in VERDICT_QUESTIONS[0].measures
    ]
    assert len(nearer) >= 2 and set(nearer) == {"clean"}


def test_a_folder_of_other_scores_is_refused(real, tmp_path, few_draws):
    good = synthetic_set(tmp_path, blobs(60, 32, seed=9))
    other = synthetic_set(tmp_path, blobs(60, 32, seed=8), "other")
    first = evaluate(real.folder, tmp_path / "out", [good.folder])
    with pytest.raises(RunError, match="was begun otherwise"):
        evaluate(real.folder, tmp_path / "out", [other.folder])
    with pytest.raises(RunError, match="was begun otherwise"):
        evaluate(real.folder, tmp_path / "out", [good.folder], seed=1)
    assert read_scores(tmp_path / "out") == first
    with pytest.raises(RunError, match="is not empty and is not a folder of scores"):
        evaluate(real.folder, good.folder, [other.folder])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("plane", "coronal", "has the planes coronal"), ("sequence", "t1c", "has the sequences t1c")],
)
def test_what_shows_something_else_is_refused(real, tmp_path, column, value, message):
    images = blobs(60, 32, seed=9)
    table = {column: value}
    other = write_slices(
        tmp_path / "other", images, ["all"] * 60, [""] * 60, synthetic=True, columns=table
    )
    with pytest.raises(DataError, match=message):
        evaluate(real.folder, tmp_path / "out", [other.folder])


def test_another_mixture_is_named_at_the_top(tmp_path, few_draws, caplog):
    subjects = [f"s{i // 10:02d}" for i in range(160)]
    splits = ["train" if i < 80 else "test" for i in range(160)]
    labels = ["yes" if i % 2 else "no" for i in range(160)]
    real = write_slices(tmp_path / "real", blobs(160, 32), subjects, splits, tumour=labels)
    made = write_slices(
        tmp_path / "made", blobs(60, 32, seed=9), ["all"] * 60, [""] * 60, synthetic=True,
        tumour=["yes"] * 60, columns={"pixel_mm": 1.5},
    )  # fmt: skip
    evaluate(real.folder, tmp_path / "out", [made.folder], maps=False)
    remarks = json.loads((tmp_path / "out/evaluation.json").read_text())["remarks"]
    assert "100% of its images have tumour=yes, of the real ones 50%" in remarks[0]
    assert "Compare with --only tumour=yes." in remarks[0]
    assert "a pixel is 1.5 mm wide, of the real images 1 mm" in remarks[1]
    assert remarks[0] in caplog.text
    caplog.clear()
    evaluate(real.folder, tmp_path / "only", [made.folder], only=["tumour=yes"], maps=False)
    assert "tumour=yes, of the real ones" not in caplog.text


def test_a_generator_that_saw_a_test_subject_is_refused(real, tmp_path):
    seen = synthetic_set(tmp_path, blobs(20, 32))
    about = json.loads((seen.folder / "about.json").read_text())
    about["training_subjects"] = ["s00", "s13"]
    (seen.folder / "about.json").write_text(json.dumps(about))
    with pytest.raises(DataError, match="has seen s13 of the test split"):
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
    assert "copying_ratio" not in {score.name for score in scores}
    assert "relative_fd" in {score.name for score in scores}


def test_fewer_images_than_features_are_remarked(real, tmp_path, few_draws, caplog):
    few = synthetic_set(tmp_path, blobs(40, 32, seed=9))
    evaluate(real.folder, tmp_path / "out", [few.folder], maps=False)
    remarks = json.loads((tmp_path / "out/evaluation.json").read_text())["remarks"]
    assert all(remark in caplog.text for remark in remarks)
    (said,) = (remark for remark in remarks if remark.startswith("A draw has 20 images, but "))
    assert said.count(" features") == 4 and "random-net has 224 features" in said


def test_fewer_draws_are_the_first_of_all(real, tmp_path, few_draws):
    good = synthetic_set(tmp_path, blobs(60, 32, seed=9))
    every = evaluate(real.folder, tmp_path / "out", [good.folder], maps=False)
    few = evaluate(real.folder, tmp_path / "few", [good.folder], maps=False, draws=2)
    assert {len(one.values) for one in few if not one.name.startswith("c2st")} == {2}
    assert {len(one.values) for one in every if one.name == "coverage"} == {8}
    for one, more in zip(few, every, strict=True):
        if one.name in ("c2st_logistic_auc", "coverage"):  # not relative to the floor's mean
            assert one.values == more.values[: len(one.values)]
    command = json.loads((tmp_path / "few/evaluation.json").read_text())["command"]
    assert command.endswith("--no-maps --draws 2")
    with pytest.raises(DataError, match="2 draws or more, not 1"):
        evaluate(real.folder, tmp_path / "one", [good.folder], draws=1)


def test_differences_between_sets_are_paired_by_draw(real, tmp_path, few_draws):
    good = synthetic_set(tmp_path, blobs(60, 32, seed=9))
    other = synthetic_set(tmp_path, blobs(60, 32, seed=10), "other")
    noise = np.random.default_rng(0).normal(0, 0.3, (60, 1, 32, 32))
    bad = synthetic_set(tmp_path, np.clip(blobs(60, 32, seed=9) + noise, -1, 1), "bad")
    sets = [one.folder for one in (good, other, bad)]
    scores = evaluate(real.folder, tmp_path / "out", sets, maps=False)
    found = {(d.score, d.features, d.one, d.other): d for d in differences(scores)}
    clear = found["precision", "random-net", "good", "bad"]
    assert clear.nearer == "good" and clear.low > 0
    assert found["density", "random-net", "other", "bad"].nearer == "other"
    alike = [d for key, d in found.items() if "bad" not in key]
    assert np.mean([d.nearer != "" for d in alike]) < 0.25
    rows = (tmp_path / "out/differences.csv").read_text().splitlines()
    assert len(rows) == 1 + len(found) == 1 + len(scores)


def test_sets_of_other_sizes_are_measured_at_one_n(real, tmp_path, few_draws):
    few = synthetic_set(tmp_path, blobs(40, 32, seed=9))
    many = synthetic_set(tmp_path, blobs(90, 32, seed=9), "many")
    scores = evaluate(real.folder, tmp_path / "out", [few.folder, many.folder], maps=False)
    assert {score.n_synthetic for score in scores} == {20, 40}  # classifiers judge all of 40


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda images: np.where(images > 0.9, np.nan, images),
            r"\d+ of 30 images of .*not finite",
        ),
        (lambda images: images[:11], r"has 11 image\(s\); scores need 12"),
        (lambda images: images[:, :, ::2, ::2], "has 1 channel.s. of 16 pixels"),
        (lambda images: images.repeat(2, axis=1), r"has 2 channel\(s\)"),
    ],
)
def test_unfit_synthetic_images_are_refused(real, tmp_path, spoil, message):
    bad = synthetic_set(tmp_path, spoil(blobs(30, 32)).astype(np.float16))
    with pytest.raises(DataError, match=message):
        evaluate(real.folder, tmp_path / "out", [bad.folder])


def test_unfit_real_images_are_refused(tmp_path):
    good = synthetic_set(tmp_path, blobs(20, 32))
    subjects = [f"s{i // 5}" for i in range(80)]
    splits = ["train" if i < 40 else "test" for i in range(80)]
    same = write_slices(tmp_path / "same", np.repeat(blobs(1, 32), 80, 0), subjects, splits)
    with pytest.raises(DataError, match="All 40 training images .* are the same"):
        evaluate(same.folder, tmp_path / "out", [good.folder])
    images = blobs(80, 32)
    images[70] = np.inf
    odd = write_slices(tmp_path / "odd", images, subjects, splits)
    with pytest.raises(DataError, match="1 of 40 images of .*odd hold values that are not finite"):
        evaluate(odd.folder, tmp_path / "again", [good.folder])


def test_constant_synthetic_images_are_measured(real, tmp_path, few_draws):
    """A generator that has collapsed to grey must get its bad scores, not an error."""
    grey = synthetic_set(tmp_path, np.full((40, 1, 32, 32), -0.5, np.float16))
    scores = evaluate(real.folder, tmp_path / "out", [grey.folder], maps=False)
    assert all(np.isfinite(score.value) for score in scores)
    assert by_name(scores, "random-net")["coverage"].value == 0
    assert by_name(scores, "random-net")["c2st_logistic_auc"].value > 0.9


def test_the_map_shows_groups_by_column(real, tmp_path, few_draws):
    good = synthetic_set(tmp_path, blobs(40, 32, seed=9))
    evaluate(real.folder, tmp_path / "out", [good.folder], groups="split")
    with np.load(tmp_path / "out/pictures.npz") as file:
        groups = {name for name in file.files if name.startswith("map/")}
    assert groups == {"map/real, training, split train", "map/real, held out, split test",
                      "map/good, split "}  # fmt: skip
    with pytest.raises(DataError, match="has no column 'grade' to group by"):
        evaluate(real.folder, tmp_path / "again", [good.folder], groups="grade")
