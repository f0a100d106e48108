from dataclasses import replace

import numpy as np
import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RunError
from mrgantry.data import SlicePlan, prepare
from mrgantry.evaluate import faults, measures, reference, scoring, sensitivity
from mrgantry.evaluate.cloud import Cloud
from mrgantry.evaluate.faults import FAULTS, Material
from mrgantry.report import write_sensitivity
from mrgantry.report.sensitivity import FAMILIES


@pytest.fixture
def quick(monkeypatch):
    """Two draws of each measure, and no trained network."""
    everything = measures.all_measures

    def some(*args, **options):
        for one in everything(*args, **options):
            if one.kinds[0].name not in ("c2st_cnn", "c2st_low_pass"):
                object.__setattr__(one, "draws", 2)
                yield one

    monkeypatch.setattr(reference, "all_measures", some)


@pytest.fixture
def real(tmp_path):
    people = [f"s{i // 8:02d}" for i in range(144)]
    splits = ["train" if i < 72 else "test" for i in range(144)]
    return write_slices(tmp_path / "slices", blobs(144, 32), people, splits)


def material(count=40, size=32):
    def cloud(seed):
        images = blobs(count, size, seed=seed)
        rows = images.reshape(count, -1)[:, ::16].astype(np.float64)
        return Cloud(images, np.array([f"s{i // 4}" for i in range(count)]), {"rows": rows})

    return Material(cloud(0), cloud(1), np.random.default_rng(0))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_faults_are_images_with_subjects_and_grow_with_their_strength(fault):
    changes = []
    for strength in fault.strengths:
        of = material()
        images, people = fault.make(of, strength)
        assert len(images) == len(people) > 0
        assert images.shape[1:] == (1, 32, 32) and np.abs(images).max() <= 1
        if len(images) == len(of.other):
            changes.append(float(np.abs(images - of.other.images).mean()))
    assert changes == sorted(changes)
    assert len(fault.expected) == len(FAMILIES) and set(fault.expected) <= set("+0?")


def test_what_is_copied_and_what_is_left_out():
    of = material()
    copied, _ = faults.copies(of, 0)
    assert copied is of.train.images
    some, _ = faults.some_copies(of, 0.25)
    known = {image.tobytes() for image in of.train.images}
    assert 0 < sum(image.tobytes() in known for image in some) < 20
    half, _ = faults.half_of_modes(of, 0)
    assert 0 < len(half) < 40
    one, people = faults.one_image(of, 0)
    assert len(np.unique(one, axis=0)) == 1 and len(set(people)) == 40


def test_a_warp_moves_by_as_many_pixels_as_it_says():
    ramp = np.broadcast_to(np.linspace(-1, 1, 64, dtype=np.float32), (1, 64, 64))
    bent = faults.warped(ramp, 0.5, np.random.default_rng(0))
    moved = (bent - ramp)[:, 8:-8, 8:-8] * 63 / 2  # pixels along a row
    assert 0.3 < np.sqrt((moved**2).mean()) < 0.7


def test_a_table_goes_on_where_it_stopped_and_shows_on_a_page(real, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(sensitivity_module(), "FAULTS", FAULTS[:2])
    scored = []
    score = sensitivity_module().Scorer.score
    monkeypatch.setattr(
        sensitivity_module().Scorer,
        "score",
        lambda self, fault, strength: scored.append(fault.name) or score(self, fault, strength),
    )
    out = tmp_path / "out"
    whole = sensitivity(real.folder, out, repeats=1, halves=2)
    assert scored == ["none", "blur", "blur", "blur", "none"]
    (out / "parts/00-blur-1.4.json").unlink()
    again = sensitivity(real.folder, out, repeats=1, halves=2)
    assert scored[5:] == ["blur"] and again.cells == whole.cells
    found = {(c.fault, c.strength, c.score, c.features): c for c in whole.cells if not c.partition}
    weak, strong = (found["blur", s, "spectral_difference", "pixels"] for s in (1.0, 1.8))
    assert strong.excess > weak.excess > 1 and weak.verdict == "worse"
    with pytest.raises(RunError, match="other slices, seed or features"):
        sensitivity(real.folder, out, seed=1)
    monkeypatch.setattr("mrgantry.report.sensitivity.FAULTS", FAULTS[:2])
    write_sensitivity(out, whole)
    page = (out / "sensitivity.md").read_text()
    assert f"`mrgantry sensitivity {real.folder} {out} --repeats 1 --halves 2 --seed 0`" in page
    assert "| blur 1.8 |" in page and "expectations hold" in page
    assert "<svg" in (out / "sensitivity.svg").read_text()
    rows = (out / "sensitivity.csv").read_text().splitlines()
    assert len(rows) == 1 + len(whole.cells)


def sensitivity_module():
    import sys

    return sys.modules["mrgantry.evaluate.sensitivity"]


def test_excess_is_counted_in_widths_to_the_worse_side():
    kind = measures.Kind("precision", "higher", "")
    measure = measures.Measure((kind,), "pixels", lambda of: (0.0,))
    facts = {"synthetic": "x", "n_real": 1, "n_synthetic": 1, "seed": 0,
             "real_fingerprint": "", "synthetic_fingerprint": ""}  # fmt: skip
    floors = np.linspace(0.8, 1.0, 401)[:, None]
    for value, excess, verdict in (
        (0.7, 2.1, "worse"),
        (0.85, 0.53, "alike"),
        (1, -1.05, "better"),
    ):
        (one,) = scoring.scores_of(measure, np.full((3, 1), value), floors, facts)
        assert sensitivity_module().excess(one) == pytest.approx(excess, abs=0.02)
        assert one.verdict == verdict


def test_too_few_people_are_refused(tmp_path):
    people = [f"s{i // 8}" for i in range(80)]
    few = write_slices(tmp_path / "few", blobs(80, 32), people, ["train"] * 80)
    with pytest.raises(DataError, match=r"has 10 subject\(s\); a sensitivity table needs 12"):
        sensitivity(few.folder, tmp_path / "out")


@pytest.mark.slow
def test_measures_notice_faults_of_real_slices_and_nothing_else(real_data, tmp_path, monkeypatch):
    """What the table in the documents says, in small: one partition, and some of the faults."""
    plan = SlicePlan(sequences=("t1",), slices="0.45:0.75", size=64, field_mm=192)
    made = prepare(real_data / "ixi-t1-2mm-bids", tmp_path / "slices", plan)
    everything = measures.all_measures

    def fewer(*args, **options):
        for one in everything(*args, **options):
            trained = one.kinds[0].name in ("c2st_cnn", "c2st_low_pass")
            yield replace(one, draws=4) if trained else one

    monkeypatch.setattr(reference, "all_measures", fewer)
    people = np.unique(made.table["subject"].to_numpy(dtype=str))
    scorer = sensitivity_module().Scorer(made, people, (0, 0), ())
    signs = {"worse": "+", "alike": "0", "better": "-"}
    by_name = {fault.name: fault for fault in FAULTS}

    def signs_of(name, place):
        scores = scorer.score(by_name[name], by_name[name].strengths[place])
        return {(one.name, one.features): signs[one.verdict] for one in scores}

    nothing = signs_of("none", 0)
    claimed = [kind for family in FAMILIES for kind in family.kinds]
    assert sum(nothing[kind] != "0" for kind in claimed) <= 1
    for name, place in (("blur", 2), ("noise", 2), ("checkerboard", 1), ("training copies", 0),
                        ("warped training copies", 0)):  # fmt: skip
        found = signs_of(name, place)
        for family, sign in zip(FAMILIES, by_name[name].expected, strict=True):
            seen = [found[kind] for kind in family.kinds]
            if sign == "+":
                assert (all if family.every else any)(one == "+" for one in seen), (name, family)
            if sign == "0":
                assert set(seen) == {"0"}, (name, family, seen)
