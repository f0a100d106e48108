import sys
from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError, RunError
from mrgantry.data import SlicePlan, prepare
from mrgantry.evaluation import reference, scoring, sensitivity
from mrgantry.evaluation.cloud import Cloud
from mrgantry.evaluation.faults import FAULTS, Material, anatomy, head, lesions, selection, texture
from mrgantry.evaluation.faults.material import in_a_share
from mrgantry.evaluation.measures import listed as measures
from mrgantry.evaluation.measures.measure import Family, Kind, Measure
from mrgantry.evaluation.sensitivity_table import FaultScore, Sensitivity
from mrgantry.pages import sensitivity as page
from mrgantry.pages import write_sensitivity

NAMED = {fault.name: fault for fault in FAULTS}
MODULE = sys.modules["mrgantry.evaluation.sensitivity_table"]


@pytest.fixture
def quick(monkeypatch):
    """Two draws of each measure, and no trained network."""
    everything, tests = measures.all_measures, measures.all_tests

    def some(*args, **options):
        for one in everything(*args, **options):
            yield replace(one, draws=2)

    monkeypatch.setattr(reference, "all_measures", some)
    monkeypatch.setattr(
        reference,
        "all_tests",
        lambda *args: [test for test in tests(*args) if test.features != "pixels"],
    )


@pytest.fixture
def real(tmp_path):
    people = [f"s{i // 8:02d}" for i in range(144)]
    splits = ["train" if i < 72 else "test" for i in range(144)]
    return write_slices(tmp_path / "slices", blobs(144, 32), people, splits)


RANDOM = np.random.default_rng(0)  # for changes that draw nothing
TISSUE, FLUID, LESION = 0.25, -0.75, 0.875  # intensities of the phantom, exact in float16
Y, X = np.mgrid[:64, :64]


def disc(y, x, ry, rx=None):
    return ((Y - y) / ry) ** 2 + ((X - x) / (rx or ry)) ** 2 <= 1


BRAIN, VENTRICLES = disc(32, 31.5, 27, 22), disc(31, 28, 6, 2) | disc(31, 35, 6, 2)
TUMOUR = disc(24, 20, 6)


def phantom(tumour=True, fluid=FLUID, seed=0):
    """An ellipse with furrows in its rim, two ventricles, and a tumour on the left."""
    random = np.random.default_rng(seed)
    image = np.full((64, 64), -1.0)
    image[BRAIN] = TISSUE
    turns = np.arctan2(Y - 32, X - 31.5) * 12 + random.uniform(0, 6)
    rim = BRAIN & ~disc(32, 31.5, 22, 17)
    image[rim & (np.sin(turns) > 0.6)] = FLUID
    image[VENTRICLES] = fluid
    if tumour:
        image[TUMOUR] = LESION + 0.125 * np.sign(np.sin(7 * X[TUMOUR] + 3 * Y[TUMOUR]))
    image[0, :4] = random.uniform(-1, -0.995, 4)  # background, and a mark to know it by
    return image.astype(np.float16)[None]


def material(count=40, label="yes", plane="axial", **options):
    def cloud(seed):
        images = np.stack([phantom(seed=seed + i, **options) for i in range(count)])
        rows = images[:, 0, 8, 16:].astype(np.float64)  # through furrows
        return Cloud(images, np.array([f"s{i // 4}" for i in range(count)]), {"rows": rows})

    other = cloud(0)
    index = np.arange(count)
    rows = pd.DataFrame(
        {"subject": other.subjects, "index": index, "tumour": label, "plane": plane}
    )
    return Material(other, cloud(1000), rows, np.random.default_rng(0))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_faults_are_images_with_subjects_and_grow_with_their_strength(fault):
    changes = []
    for strength in fault.strengths:
        of = material()
        assert fault.applies(of)
        images, people = fault.make(of, strength)
        assert len(images) == len(people) > 0
        assert images.shape[1:] == (1, 64, 64) and np.abs(images).max() <= 1
        if len(images) == len(of.other):
            changes.append(float(np.abs(images - of.other.images.astype(np.float32)).mean()))
    if fault.name not in ("few people", "warped training copies"):  # all images are others
        assert changes == sorted(changes)
    if fault.strengths != (0.0,):
        assert len(set(fault.strengths)) == len(fault.strengths) >= 3
        assert "{}" in fault.text
    assert not set(fault.noticed_by) & set(fault.unmoved)
    assert {*fault.noticed_by, *fault.unmoved} <= set(get_args(Family)) == set(page.FAMILIES)


def test_names_of_faults_differ_and_make_names_of_files():
    assert len(NAMED) == len(FAULTS) and FAULTS[0].name == "none"
    assert all(name.replace(" ", "").isalnum() for name in NAMED)


def test_a_share_is_exact_and_a_greater_one_holds_a_smaller_one():
    make = in_a_share(lambda of, rows: np.zeros((len(rows), 1, 64, 64), dtype=np.float32))
    changed = [set(np.flatnonzero(~make(material(), share)[0].any((1, 2, 3))))
               for share in (0.01, 0.25, 0.5, 1.0)]  # fmt: skip
    assert [len(one) for one in changed] == [1, 10, 20, 40]
    assert changed[0] < changed[1] < changed[2] < changed[3]


def test_what_is_copied_and_what_is_left_out():
    of = material()
    copied, _ = selection.copies(of, 0)
    assert copied is of.train.images
    some, _ = NAMED["some training copies"].make(of, 0.25)
    known = {image.tobytes() for image in of.train.images}
    assert sum(image.astype(np.float16).tobytes() in known for image in some) == 10
    one, people = selection.one_image(of, 0)
    assert len(np.unique(one, axis=0)) == 1 and len(set(people)) == 40


def test_half_of_the_modes_are_those_of_one_cluster():
    of = material()
    for cloud in (of.other, of.train):
        cloud.features["rows"][:] = 0
        cloud.features["rows"][::2] = 9
    half, people = selection.half_of_modes(of, 0)
    assert len(half) == len(people) == 20


def test_few_people_are_few_and_fewer_are_among_more():
    whose = []
    for count in NAMED["few people"].strengths:
        of = material()
        known = {image.tobytes(): one for image, one in zip(of.other.images, of.other.subjects)}
        images, people = selection.few_people(of, count)
        whose.append({known[image.tobytes()] for image in images})
        assert len(images) == len(set(people)) == 40
    assert [len(one) for one in whose] == [4, 2, 1] and whose[2] < whose[1] < whose[0]


def test_a_warp_moves_by_as_many_pixels_as_it_says():
    ramp = np.broadcast_to(np.linspace(-1, 1, 64, dtype=np.float32), (1, 64, 64))
    bent = selection.warped(ramp, 0.5, np.random.default_rng(0))
    moved = (bent - ramp)[:, 8:-8, 8:-8] * 63 / 2  # pixels along a row
    assert 0.3 < np.sqrt((moved**2).mean()) < 0.7


def test_lengths_grow_with_the_image_and_periods_do_not():
    small, large = (np.zeros((1, 1, side, side), dtype=np.float32) for side in (64, 128))
    small[..., 32, 32] = large[..., 64, 64] = 1
    one, two = (texture.blurred(image, 1.0, RANDOM)[0, 0] for image in (small, large))
    assert one[32, 32] / one[32, 33] == pytest.approx(two[64, 64] / two[64, 66], rel=0.02)
    for side in (64, 128):
        assert (texture.Pattern("stripes", 4).draw(side)[:4, 0] == [1, 1, -1, -1]).all()


@pytest.mark.parametrize("period", (2, 4, 8))
def test_stripes_have_their_period_down_the_image_and_none_along_it(period):
    flat = np.zeros((1, 1, 64, 64), dtype=np.float32)
    power = np.abs(np.fft.fft2(texture.Pattern("stripes", period)(flat, 0.05, RANDOM)[0, 0])) ** 2
    assert np.unravel_index(power.argmax(), power.shape) in {(64 // period, 0),
                                                             (64 - 64 // period, 0)}  # fmt: skip
    assert power[:, 1:].max() < 1e-6 * power.max()
    assert power[np.arange(64) % (64 // period) > 0].max() < 1e-6 * power.max()


@pytest.mark.parametrize("kind, period", (("checkerboard", 2), ("grid", 4), ("grid", 8)))
def test_grids_have_their_period_both_ways(kind, period):
    pattern = texture.Pattern(kind, period).draw(64)
    power = np.abs(np.fft.fft2(pattern)) ** 2
    places = np.argwhere(power > 1e-6 * power.max())
    assert (places % (64 // period) == 0).all() and (0, 0) not in set(map(tuple, places))
    assert np.allclose(power, power.T)
    if kind == "checkerboard":
        assert places.tolist() == [[32, 32]]
    assert pattern.max() - pattern.min() == pytest.approx(2)


def test_patterns_stay_within_the_head():
    image = phantom()[None].astype(np.float32)
    changed = texture.Pattern("grid", 4)(image, 0.1, RANDOM) != image
    assert changed[0, 0][~BRAIN].sum() == 0 and changed[0, 0][BRAIN].all()


def test_grey_levels_are_as_many_as_said_with_black_and_white():
    ramp = np.linspace(-1, 1, 64 * 64, dtype=np.float32).reshape(1, 1, 64, 64)
    for levels in (64, 32, 16, 8):
        values = np.unique(texture.quantised(ramp, levels, RANDOM))
        assert len(values) == levels and (values[0], values[-1]) == (-1, 1)
        assert np.ptp(np.diff(values)) < 1e-6


def test_a_smooth_cortex_loses_its_furrows_and_leaves_the_inside_bit_for_bit():
    image = phantom().astype(np.float32)
    deep = head.depth_of(head.head_of(image)) >= texture.RIM
    rim = BRAIN & ~disc(32, 31.5, 23, 18)
    roughness = [image[0, rim].std()]
    for sigma in NAMED["cortex without gyri"].strengths:
        smooth = texture.smooth_cortex(image[None], sigma, RANDOM)[0]
        assert (smooth[:, deep] == image[:, deep]).all() and deep.sum() > 500
        assert (smooth == image)[:, ~head.head_of(image)].all()
        roughness.append(smooth[0, rim].std())
    assert roughness == sorted(roughness, reverse=True) and roughness[-1] < 0.6 * roughness[0]
    assert smooth[0, rim].mean() == pytest.approx(image[0, rim].mean(), abs=0.05)


def test_half_heads_are_black_on_the_right_and_as_they_were_on_the_left():
    of = material()
    images = anatomy.half_heads(of, np.array([3, 7]))
    assert (images[..., 32:] == -1).all()
    assert (images[..., :32] == of.other.images[[3, 7]][..., :32]).all()


def test_a_mean_of_two_heads_is_the_mean_with_another_person_at_the_same_level():
    of = material()
    rows = np.arange(40)
    images = anatomy.means_of_two(of, rows)
    real = of.other.images.astype(np.float32)
    for row in rows:
        errors = np.abs((real + real[row]) / 2 - images[row]).max((1, 2, 3))
        partner = errors.argmin()
        assert errors[partner] == 0
        assert of.other.subjects[partner] != of.other.subjects[row]
        assert of.levels[partner] == of.levels[row] == pytest.approx((row % 4) / 3)


@pytest.mark.parametrize("fluid", (FLUID, 0.95))
def test_ventricles_are_filled_with_tissue_and_the_rest_stays(fluid):
    of = material(4, fluid=fluid, tumour=False)
    before = of.other.images[:, 0].astype(np.float32)
    after = anatomy.filled_ventricles(of, np.arange(4))[:, 0]
    assert np.abs(before[:, VENTRICLES] - TISSUE).min() > 0.5
    assert np.allclose(after[:, VENTRICLES], TISSUE, atol=0.02)
    near = disc(31, 31.5, 9, 8)
    assert (after[:, ~near] == before[:, ~near]).all()


def test_a_head_without_ventricles_is_left_as_it_is():
    of = material(4, fluid=TISSUE, tumour=False)
    assert (anatomy.filled_ventricles(of, np.arange(4)) == of.other.images).all()


def test_bites_are_round_pieces_of_the_rim():
    of = material()
    for image, before in zip(anatomy.bitten(of, np.arange(40)), of.images(np.arange(40))):
        missing = (image != before)[0]
        assert (image[0, missing] == -1).all() and 10 < missing.sum() < 160
        assert head.depth_of(head.head_of(before))[missing].min() <= 1.5


def test_a_tumour_is_found_where_the_halves_differ():
    image = phantom().astype(np.float32)
    found = lesions.lesion_of(image)
    assert (found & TUMOUR).sum() > 0.8 * (found | TUMOUR).sum()
    assert not lesions.lesion_of(np.where(BRAIN, TISSUE, -1)[None].astype(np.float32)).any()


def test_flat_and_noisy_tumours_change_within_the_tumour_alone():
    of = material(8)
    before = of.images(np.arange(8))
    flat, noisy = (change(of, np.arange(8)) for change in (lesions.flat_lesions,
                                                           lesions.noisy_lesions))  # fmt: skip
    for i in range(8):
        found = lesions.lesion_of(before[i])
        assert np.ptp(flat[i, 0, found]) == 0
        assert flat[i, 0, found].mean() == pytest.approx(before[i, 0, found].mean(), abs=1e-3)
        assert (noisy[i] - before[i])[0, found].std() == pytest.approx(lesions.GRAIN, rel=0.4)
        for images in (flat, noisy):
            assert (images[i] == before[i])[0, ~found].all()


def bright(image):
    """Where the phantom's tumour is, by its intensity."""
    return np.argwhere(image[0] > (TISSUE + LESION) / 2).mean(axis=0)


def test_tumours_astride_have_their_centre_on_the_midline():
    of = material(8)
    for image in lesions.astride(of, np.arange(8)):
        y, x = bright(image)
        assert y == pytest.approx(24, abs=1) and x == pytest.approx(31.5, abs=1)
        healed = image[0][disc(24, 20, 2)]
        assert np.abs(healed - TISSUE).max() < 0.1


def test_tumours_sticking_out_have_their_centre_on_the_rim():
    of = material(8)
    for image in lesions.sticking_out(of, np.arange(8)):
        lies = image[0] > (TISSUE + LESION) / 2
        assert 0.15 < (lies & ~BRAIN).sum() / lies.sum() < 0.85
        assert np.abs(image[0][disc(24, 20, 2)] - TISSUE).max() < 0.1 or lies[disc(24, 20, 2)].any()


def test_left_for_right_is_the_mirror_image():
    of = material()
    images, _ = NAMED["left for right"].make(of, 1.0)
    assert (images == of.other.images[..., ::-1]).all()


def test_tumour_faults_change_tumour_slices_and_have_no_place_elsewhere():
    some = material(label=["yes", "no", "unclear", "unknown"] * 10)
    images, _ = NAMED["flat tumours"].make(some, 1.0)
    changed = (images != some.other.images).any((1, 2, 3))
    assert (np.flatnonzero(changed) % 4 == 0).all() and changed.sum() == 10
    for of in (material(label="unknown"), material(plane="sagittal")):
        assert {fault.name for fault in FAULTS if not fault.applies(of)} == {
            "left for right", "flat tumours", "noisy tumours", "tumours astride",
            "tumours sticking out"}  # fmt: skip


def test_a_table_goes_on_where_it_stopped_and_shows_on_a_page(real, tmp_path, quick, monkeypatch):
    scored = []
    score = MODULE.Scorer.score
    monkeypatch.setattr(
        MODULE.Scorer,
        "score",
        lambda self, fault, strength: scored.append(fault.name) or score(self, fault, strength),
    )
    out = tmp_path / "out"
    some = {"repeats": 1, "halves": 2, "workers": 1}
    whole = sensitivity(real.folder, out, faults=["blur", "flat tumours"], **some)
    assert scored == ["none", *5 * ["blur"], *3 * ["flat tumours"], "none"]
    (out / "parts/00-blur-1.4.json").unlink()
    again = sensitivity(real.folder, out, faults=["blur", "flat tumours"], **some)
    assert scored[10:] == ["blur"] and again.cells == whole.cells
    more = sensitivity(real.folder, out, faults=["checkerboard"], **some)
    assert scored[11:] == 4 * ["checkerboard"] and more.faults == ("none", "checkerboard")
    found = {(c.fault, c.strength, c.score, c.features): c for c in whole.cells if not c.partition}
    weak, strong = (found["blur", s, "kernel_distance", "random-net"] for s in (0.5, 1.8))
    assert strong.excess > max(weak.excess, 1) and strong.verdict == "worse"
    with pytest.raises(RunError, match="seed was 0, now 1"):
        sensitivity(real.folder, out, seed=1)
    with pytest.raises(RunError, match="Unknown fault 'blurr'.*Did you mean 'blur'"):
        sensitivity(real.folder, out, faults=["blurr"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and is not a sensitivity table"):
        sensitivity(real.folder, tmp_path / "full")
    write_sensitivity(out, whole)
    text = (out / "sensitivity.md").read_text()
    words = "--repeats 1 --halves 2 --fault blur --fault 'flat tumours' --networks 1 --seed 0"
    assert f"`mrgantry sensitivity {real.folder} {out} {words}`" in text
    assert "| blur 1.8 |" in text and "expectations hold" in text
    n_a = len(page.SensitivityTable(whole).kinds) * " n/a |"
    assert f"| flat tumours |{n_a}" in text and "checkerboard 0.1" not in text
    assert "<svg" in (out / "sensitivity.svg").read_text()
    rows = (out / "sensitivity.csv").read_text().splitlines()
    assert len(rows) == 1 + len(more.cells)


def test_a_table_of_no_fault_is_a_page_too(real, tmp_path, quick):
    out = tmp_path / "out"
    write_sensitivity(out, sensitivity(real.folder, out, halves=1, repeats=1, faults=["none"]))
    assert "| none |" in (out / "sensitivity.md").read_text()


@pytest.mark.slow
def test_several_processes_give_the_same_table(real, tmp_path):
    one, two = (
        sensitivity(real.folder, tmp_path / f"{count}", faults=["one image repeated"],
                    repeats=1, halves=2, networks=0, workers=count)
        for count in (1, 2)
    )  # fmt: skip
    assert one.cells == two.cells and len(one.cells) > 20


def cells(fault, signs, kind=("relative_fd", "random-net"), partition=0):
    verdicts = {"+": "worse", "0": "alike", "-": "better"}
    for strength, sign in zip(NAMED[fault].strengths, signs, strict=True):
        yield FaultScore(partition=partition, fault=fault, strength=strength, score=kind[0],
                   features=kind[1], value=0, floor=0, floor_low=0, floor_high=0,
                   verdict=verdicts[sign], excess=1, n=9)  # fmt: skip


def table(*parts, repeats=1):
    rows = [one for part in ((*cells("none", "0"),), *parts) for one in part]
    return page.SensitivityTable(
        Sensitivity(command="", versions={}, slices="", source="real", fingerprint="", subjects=9,
                    repeats=repeats, halves=repeats, faults=tuple(NAMED), cells=tuple(rows))
    )  # fmt: skip


@pytest.mark.parametrize(
    "signs, text, shade",
    (("+++", "0.02", 0), ("0++", "0.05", 0.375), ("+0+", "0.1", 0.75), ("++0", "–", 1),
     ("---", "–", 1)),
)  # fmt: skip
def test_the_smallest_strength_noticed_is_one_from_which_all_are(signs, text, shade):
    found = table(cells("stripes of 4", signs))
    least = found.least(NAMED["stripes of 4"], ("relative_fd", "random-net"))
    assert least == (text, shade)


def test_most_partitions_must_notice_and_faults_without_cells_have_no_place():
    fd = ("relative_fd", "random-net")
    votes = [cells("training copies", sign, fd, turn) for turn, sign in enumerate("+0")]
    assert table(*votes, repeats=2).least(NAMED["training copies"], fd).text == "–"
    votes = [cells("training copies", sign, fd, turn) for turn, sign in enumerate("+0+")]
    found = table(*votes, repeats=3)
    assert found.least(NAMED["training copies"], fd).text == "yes"
    assert found.entry(NAMED["training copies"], 0.0, fd).text == "+ 1.0 ?"
    assert found.least(NAMED["bites"], fd).text == "n/a"
    assert found.entry(NAMED["bites"], 0.1, fd).text == "n/a"


def test_partitions_in_which_real_images_are_called_worse_do_not_count():
    fd, fault = ("relative_fd", "random-net"), NAMED["stripes of 4"]
    alarmed = [one for turn in range(3) for one in cells("none", "++0"[turn], fd, turn)]
    votes = [one for turn in range(3) for one in cells(fault.name, "+++", fd, turn)]
    found = table(alarmed[:1], votes[:3])
    found.cells["none", 0.0, fd].pop(0)  # the one that `table` gives
    assert found.least(fault, fd).text == "?" and page.checks(found)[1] == [
        "none: moves FD (net) + 1.0"
    ]
    quiet = [*cells(fault.name, "00+", fd, 2)]
    found = table(alarmed, votes[:6], quiet, repeats=3)
    found.cells["none", 0.0, fd].pop(0)
    assert found.least(fault, fd).text == "0.1" and found.entry(fault, 0.02, fd).sign == "+"


def test_scores_that_a_table_lacks_are_left_out_and_unknown_ones_of_other_features_shown():
    kinds = [("c2st_cnn_auc", "pixels"), ("coverage", "brain-net"), ("relative_fid", "inception"),
             ("sigma", "pixels"), ("fid", "inception")]  # fmt: skip
    found = table(*(cells("none", "0", kind) for kind in kinds))
    assert found.kinds == [("relative_fd", "random-net"), ("coverage", "brain-net"),
                           ("c2st_cnn_auc", "pixels"), ("relative_fid", "inception")]  # fmt: skip
    assert [page.name_of(kind) for kind in found.kinds] == [
        "FD (net)", "coverage (brain)", "C2ST CNN", "FID (inception)"]  # fmt: skip
    assert found.starts == [1, 2, 3]


def test_what_was_expected_is_checked_by_family():
    brain = ("relative_fd", "brain-net")
    assert page.checks(table()) == (1, [])  # "none" moves no distance
    met, missed = page.checks(table(cells("stripes of 4", "0++")))
    assert (met, missed) == (3, [])  # noticed, and at all greater strengths
    met, missed = page.checks(table(cells("stripes of 4", "+0+"), cells("training copies", "+")))
    assert missed == ["training copies: moves FD (net) + 1.0",
                      "stripes of 4: FD (net) loses sight of it as it grows"]  # fmt: skip
    met, missed = page.checks(table(cells("stripes of 4", "000")))
    assert missed == ["stripes of 4 0.1: not noticed by FD, KID"]
    by_brain = (cells("stripes of 4", "000"), cells("stripes of 4", "00+", brain),
                cells("training copies", "+", ("relative_fd", "pca64")))  # fmt: skip
    assert page.checks(table(*by_brain))[1] == []  # one of a family is enough


def test_excess_is_counted_in_widths_to_the_worse_side():
    kind = Kind("precision", "higher", "")
    measure = Measure((kind,), "pixels", lambda of: (0.0,))
    facts = {"synthetic": "x", "n_real": 1, "n_synthetic": 1, "seed": 0,
             "real_fingerprint": "", "synthetic_fingerprint": "", "people": 9}  # fmt: skip
    floors = np.linspace(0.8, 1.0, 401)[:, None]
    for value, excess, verdict in (
        (0.7, 2.1, "worse"),
        (0.85, 0.53, "alike"),
        (1, -1.05, "better"),
    ):
        (one,) = scoring.scores_of(measure, np.full((401, 1), value), floors, facts)
        assert MODULE.excess(one) == pytest.approx(excess, abs=0.02)
        assert one.verdict == verdict


def test_too_few_people_are_refused(tmp_path):
    people = [f"s{i // 8}" for i in range(80)]
    few = write_slices(tmp_path / "few", blobs(80, 32), people, ["train"] * 80)
    with pytest.raises(DataError, match=r"has 10 subject\(s\); a sensitivity table needs 12"):
        sensitivity(few.folder, tmp_path / "out")


@pytest.mark.slow
def test_measures_notice_faults_of_real_slices_and_nothing_else(real_data, tmp_path):
    """What the table in the documents says, in small: one partition, and some of the faults."""
    plan = SlicePlan(sequences=("t1",), slices="0.45:0.75", size=64, field_mm=192)
    made = prepare(real_data / "ixi-t1-2mm-bids", tmp_path / "slices", plan)
    scorer = MODULE.Scorer(made, (0, 0), ()).without_networks()

    def verdicts_of(name):
        scores = scorer.score(NAMED[name], NAMED[name].strengths[-1])
        return {(score.name, score.features): score.verdict for score in scores}

    nothing = verdicts_of("none")
    claimed = [kind for family in page.FAMILIES.values() for kind in family.kinds]
    assert sum(nothing.get(kind, "alike") != "alike" for kind in claimed) <= 1
    for name in ("blur", "noise", "checkerboard", "stripes of 4", "cortex without gyri",
                 "half heads", "training copies", "warped training copies"):  # fmt: skip
        found = verdicts_of(name)
        for family, (_, kinds, also) in page.FAMILIES.items():
            if family in NAMED[name].noticed_by:
                assert "worse" in [found.get(kind) for kind in (*kinds, *also)], (name, family)
            if family in NAMED[name].unmoved:
                assert {found[kind] for kind in kinds if kind in found} == {"alike"}, (name, family)
