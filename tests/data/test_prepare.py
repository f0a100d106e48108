import json

import nibabel as nib
import numpy as np
import pytest

from conftest import brain_phantom, write_nifti
from mrgantry.common import workers
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.data import SlicePlan, SliceSet, prepare, read_volume
from mrgantry.data.inspection import inspect
from mrgantry.data.notes import Notes
from mrgantry.data.repeats import blind_spot
from mrgantry.data.sections import from_text, tumour_word
from mrgantry.papers import han2018

PLAN = SlicePlan(sequences=("t1",), slices="0:20", size=16)


def test_slices_rows_and_labels(cohort, tmp_path):
    made = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    assert made.images.shape == (len(made.table), 1, 16, 16)
    assert made.images.dtype == np.float16
    assert made.images.min() == -1 and 0.7 < made.images.max() <= 1
    one = made.table[made.table["subject"] == "BraTS20_Training_001"].set_index("index")
    assert list(one.loc[9:12, "tumour"]) == ["yes"] * 4
    assert list(one.loc[9:12, "tumour_mm2"]) == [64] * 4
    assert one.loc[8, "tumour"] == "no"
    assert made.about.notes == Notes(
        brain={"foreground": 10}, repeats=(), repeats_missed=blind_spot(made)
    )
    assert "so few people (10;" in blind_spot(made)
    assert made.about.source == "real"


def test_splits_hold_people_together_in_exact_shares(cohort, tmp_path):
    made = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    splits = made.table.groupby("subject")["split"].unique()
    assert all(len(split) == 1 for split in splits)
    assert splits.map(lambda s: s[0]).value_counts().to_dict() == {
        "train": 6,
        "test": 3,
        "validation": 1,
    }


def test_workers_change_nothing_and_a_second_call_neither(cohort, tmp_path):
    one = prepare(cohort, tmp_path / "one", PLAN, workers=1)
    two = prepare(cohort, tmp_path / "two", PLAN, workers=2)
    again = prepare(cohort, tmp_path / "one", PLAN, workers=1)
    assert one.about.fingerprint == two.about.fingerprint == again.about.fingerprint


def test_pooled_and_as_channels(cohort, tmp_path):
    both = PLAN.model_copy(update={"sequences": ("t1", "flair")})
    pooled = prepare(cohort, tmp_path / "pooled", both, workers=1)
    assert pooled.table["sequence"].value_counts().nunique() == 1
    stacked = prepare(
        cohort, tmp_path / "stacked", both.model_copy(update={"combine": "channels"}), workers=1
    )
    assert stacked.images.shape[1] == 2
    assert stacked.about.channels == ("t1", "flair")
    assert len(pooled) == 2 * len(stacked)


def test_channels_need_one_grid(cohort, tmp_path):
    name = "BraTS20_Training_003"
    write_nifti(cohort / name / f"{name}_flair.nii.gz", brain_phantom(3, (24, 28, 21)))
    plan = PLAN.model_copy(update={"sequences": ("t1", "flair"), "combine": "channels"})
    made = prepare(cohort, tmp_path / "out", plan, workers=1)
    assert made.table["subject"].nunique() == 9
    assert "its flair lies on another grid than its t1" in made.about.notes.skipped[0]


def test_a_bad_scan_is_skipped_and_the_others_go_on(cohort, tmp_path):
    bad = cohort / "BraTS20_Training_004" / "BraTS20_Training_004_t1.nii.gz"
    bad.write_bytes(bad.read_bytes()[:500])
    made = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    assert made.table["subject"].nunique() == 9
    (problem,) = made.about.notes.skipped
    assert "BraTS20_Training_004 t1 was skipped" in problem and "truncated" in problem
    with pytest.raises(DataError, match="truncated"):
        prepare(cohort, tmp_path / "strict", PLAN, strict=True, workers=1)
    # The file is mended: the same command takes it in.
    write_nifti(bad, brain_phantom(4), "LPS")
    assert prepare(cohort, tmp_path / "out", PLAN, workers=1).table["subject"].nunique() == 10


def test_another_plan_is_refused(cohort, tmp_path):
    prepare(cohort, tmp_path / "out", PLAN, workers=1)
    with pytest.raises(RunError, match="plane was 'axial', now 'coronal'"):
        prepare(cohort, tmp_path / "out", PLAN.model_copy(update={"plane": "coronal"}), workers=1)


def test_conditions_and_split_columns(cohort, tmp_path):
    rows = "\n".join(
        f"BraTS20_Training_{n:03d},{'HGG' if n < 6 else 'LGG'},{'test' if n < 2 else 'train'}"
        for n in range(10)
    )
    (cohort / "cohort.csv").write_text(f"subject,grade,fold\n{rows}\n")
    plan = PLAN.model_copy(update={"where": ("grade=HGG",), "split_column": "fold"})
    made = prepare(cohort, tmp_path / "out", plan, workers=1)
    splits = made.table.groupby("subject")["split"].first()
    assert splits.value_counts().to_dict() == {"train": 4, "test": 2}
    with pytest.raises(DataError, match=r"No subject of .* meets grade=IV"):
        prepare(cohort, tmp_path / "no", PLAN.model_copy(update={"where": ("grade=IV",)}))
    with pytest.raises(RecipeError, match="gives subject .* the split 'HGG'"):
        prepare(cohort, tmp_path / "no", plan.model_copy(update={"split_column": "grade"}))


def test_an_absent_sequence_is_named(cohort, tmp_path):
    with pytest.raises(DataError, match=r"No subject of .* has t2; there is flair, t1"):
        prepare(cohort, tmp_path / "out", PLAN.model_copy(update={"sequences": ("t2",)}))


def test_an_interrupted_set_cannot_be_opened(cohort, tmp_path):
    prepare(cohort, tmp_path / "out", PLAN, workers=1)
    about = json.loads((tmp_path / "out/about.json").read_text())
    (tmp_path / "out/about.json").write_text(json.dumps(about | {"complete": False}))
    with pytest.raises(DataError, match="was interrupted .* mrgantry prepare"):
        SliceSet.open(tmp_path / "out")


def test_a_subject_in_two_splits_is_refused(cohort, tmp_path):
    made = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    table = made.table
    table.loc[0, "split"] = "test" if table.loc[0, "split"] == "train" else "train"
    table.to_csv(tmp_path / "out/slices.csv", index=False)
    with pytest.raises(DataError, match="stands in two splits .* Split by subject"):
        SliceSet.open(tmp_path / "out")


def test_what_is_no_set_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not a set of slices"):
        SliceSet.open(tmp_path)


@pytest.mark.parametrize(
    ("area", "word"), [(None, "unknown"), (0, "no"), (49, "unclear"), (50, "yes")]
)
def test_tumour_words(area, word):
    assert tumour_word(area, 50) == word


def test_the_command_makes_the_plan_again(cohort, tmp_path):
    plan = SlicePlan(sequences=("t1", "flair"), slices="0:20", size=16, splits=(0.5, 0.0, 0.5))
    made = prepare(cohort, tmp_path / "out", plan, workers=1)
    assert made.about.command == (
        f"mrgantry prepare {cohort} {tmp_path / 'out'} --sequence t1 --sequence flair --pool "
        "--slices 0:20 --size 16 --splits 0.5:0:0.5"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sequences": ("t3",)}, "Unknown sequence 't3'"),
        ({"plane": "axail"}, "'plane' of the plan is 'axail'"),
        ({"siez": 64}, "Unknown key 'siez' in the plan. Did you mean 'size'?"),
        ({"splits": (0.5, 0.1, 0.1)}, "sum to 1"),
        ({"percentiles": (99, 1)}, "must rise"),
        ({"where": ("grade",)}, "must read name=value"),
    ],
)
def test_a_wrong_plan_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(RecipeError, match=sentence):
        SlicePlan.of(change, "plan")


def test_other_scans_of_the_same_names_are_cut_afresh(cohort, tmp_path):
    one = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    for number in range(10):
        name = f"BraTS20_Training_{number:03d}"
        path = tmp_path / f"other/{name}/{name}_t1.nii.gz"
        write_nifti(path, brain_phantom(number + 50), "LPS")
    two = prepare(tmp_path / "other", tmp_path / "out", PLAN, workers=1)
    assert one.about.fingerprint != two.about.fingerprint
    fresh = prepare(tmp_path / "other", tmp_path / "fresh", PLAN, workers=1)
    assert two.about.fingerprint == fresh.about.fingerprint


def test_names_that_would_share_a_file_are_refused(tmp_path):
    for name in ("P 1", "P-1"):
        write_nifti(tmp_path / f"scans/{name}/t1.nii.gz", brain_phantom())
    with pytest.raises(DataError, match="is too like another's"):
        prepare(tmp_path / "scans", tmp_path / "out", PLAN, workers=1)


def test_what_a_kill_leaves_does_not_stop_the_same_command(cohort, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.123.about.json").write_text("{")
    assert len(prepare(cohort, tmp_path / "out", PLAN, workers=1))


def test_a_damaged_set_is_said(cohort, tmp_path):
    prepare(cohort, tmp_path / "out", PLAN, workers=1)
    part = next((tmp_path / "out/parts").glob("*.npy"))
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(DataError, match="is damaged .* make it again"):
        SliceSet.open(tmp_path / "out")
    (tmp_path / "out/about.json").write_text("[]")
    with pytest.raises(DataError, match="is not that of a set"):
        SliceSet.open(tmp_path / "out")


def test_han2018_plans_are_the_papers():
    assert han2018.IMAGE_TYPES.keys() == {
        "t1-128",
        "t1c-128",
        "t2-128",
        "flair-128",
        "concat-128",
        "concat-64",
    }
    plan = han2018.plan("concat-64")
    assert (plan.plane, plan.slices, plan.fit, plan.size) == ("sagittal", "80:150", "squash", 64)
    assert plan.combine == "pool" and plan.where == ("grade=HGG",)


def test_a_dask_cluster_does_the_same_work(cohort, tmp_path):
    from distributed import LocalCluster

    one = prepare(cohort, tmp_path / "one", PLAN, workers=1)
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        two = prepare(cohort, tmp_path / "two", PLAN, cluster=cluster.scheduler_address)
    assert one.about.fingerprint == two.about.fingerprint


def test_a_cluster_that_is_not_there_is_said(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.5)
    with pytest.raises(RunError, match="No Dask scheduler answers at tcp://127.0.0.1:9"):
        prepare(cohort, tmp_path / "out", PLAN, cluster="tcp://127.0.0.1:9")


def test_images_are_read_only_for_the_rows_that_are_kept(cohort, tmp_path):
    made = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    assert "images" not in vars(made)
    one = made.where((made.table["subject"] == "BraTS20_Training_003").to_numpy())
    kept = made.images[(made.table["subject"] == "BraTS20_Training_003").to_numpy()]
    np.testing.assert_array_equal(one.images, kept)
    ninth = (made.table["index"] == 9).to_numpy()
    np.testing.assert_array_equal(made.where(ninth).images, made.images[ninth])


def test_a_changed_table_is_refused(cohort, tmp_path):
    made = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    made.table.iloc[::-1].to_csv(tmp_path / "out/slices.csv", index=False)
    with pytest.raises(
        DataError, match="was changed after it was made, .* Make it again: mrgantry"
    ):
        SliceSet.open(tmp_path / "out")


def test_a_lost_part_is_said(cohort, tmp_path):
    prepare(cohort, tmp_path / "out", PLAN, workers=1)
    next((tmp_path / "out/parts").glob("*.npy")).unlink()
    with pytest.raises(DataError, match="lacks its part BraTS20"):
        SliceSet.open(tmp_path / "out")


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("axes", ["RAS", "PSR", "LIP"])
def test_rows_say_where_their_pixels_lie(tmp_path, plane, axes):
    """A bright voxel's place in mm is that of the brightest pixel, by the row's affine."""
    voxels = np.where(brain_phantom(shape=(24, 28, 20)) > 0, 50, 0).astype(np.float32)
    voxels += np.random.default_rng(0).uniform(0, 1, voxels.shape).astype(np.float32) * (voxels > 0)
    voxels[15, 9, 12] = 90
    path = write_nifti(tmp_path / "scans/p1/t1.nii.gz", voxels, axes, (1, 1.5, 2))
    plan = SlicePlan(
        plane=plane, slices="0.0:1.0", size=64, percentiles=(0, 100), field_mm=50, splits=(1, 0, 0)
    )
    made = prepare(tmp_path / "scans", tmp_path / "out", plan, workers=1)
    n, _, row, column = np.unravel_index(made.images.argmax(), made.images.shape)
    affine = from_text(made.table["affine"].iloc[n])
    here = (affine @ [column, row, 0, 1])[:3]
    there = read_volume(path).affine @ [15, 9, 12, 1]
    np.testing.assert_allclose(here, there[:3], atol=0.8)  # a pixel is 0.78 mm
    normal = ["sagittal", "coronal", "axial"].index(plane)
    assert made.table["position_mm"].iloc[n] == pytest.approx(here[normal], abs=0.01)


def one_scan(cohort, number):
    name = f"BraTS20_Training_{number:03d}"
    return cohort / name / f"{name}_t1.nii.gz"


def test_slices_of_a_scan_that_broke_leave_the_set(cohort, tmp_path):
    prepare(cohort, tmp_path / "out", PLAN, workers=1)
    bad = one_scan(cohort, 4)
    bad.write_bytes(bad.read_bytes()[:500])
    made = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    assert "BraTS20_Training_004" not in set(made.table["subject"])
    assert len(made.about.notes.skipped) == 1


def test_a_set_that_is_being_changed_cannot_be_opened(cohort, tmp_path):
    prepare(cohort, tmp_path / "out", PLAN, workers=1)
    write_nifti(one_scan(cohort, 1), brain_phantom(77), "LPS")
    bad = one_scan(cohort, 4)
    bad.write_bytes(bad.read_bytes()[:500])
    with pytest.raises(DataError, match="truncated"):
        prepare(cohort, tmp_path / "out", PLAN, workers=1, strict=True)
    with pytest.raises(DataError, match="was interrupted while it was made"):
        SliceSet.open(tmp_path / "out")


def test_voxels_that_change_beside_their_header_are_noticed(tmp_path):
    for number in range(3):
        place = tmp_path / f"scans/p{number}"
        place.mkdir(parents=True)
        image = nib.Nifti1Pair(brain_phantom(number), np.eye(4))
        nib.save(image, place / "t1.hdr")
    one = prepare(tmp_path / "scans", tmp_path / "out", PLAN, workers=1)
    voxels = np.fromfile(tmp_path / "scans/p1/t1.img", np.float32)
    np.where(voxels > 0, voxels.mean() + voxels[::-1] % 7, 0).astype(np.float32).tofile(
        tmp_path / "scans/p1/t1.img"
    )
    two = prepare(tmp_path / "scans", tmp_path / "out", PLAN, workers=1)
    assert one.about.fingerprint != two.about.fingerprint


def test_other_people_are_not_put_in_the_place_of_a_set(cohort, tmp_path):
    prepare(cohort, tmp_path / "out", PLAN, workers=1)
    write_nifti(tmp_path / "other/anna/t1.nii.gz", brain_phantom())
    with pytest.raises(DataError, match="holds slices of other subjects"):
        prepare(tmp_path / "other", tmp_path / "out", PLAN, workers=1)


def test_a_file_where_the_set_should_be_is_said(cohort, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(RunError, match="is a file; name a folder"):
        prepare(cohort, tmp_path / "out", PLAN, workers=1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"field_mm": 1e6}, "field_mm"),
        ({"poses": 7}, "are for --plane oblique alone"),
        ({"centre_mm": (0, 0, 0)}, "are for --plane oblique alone"),
        ({"fit": "crop", "field_mm": 100}, "leave out --fit crop"),
    ],
)
def test_what_a_plan_would_ignore_is_refused(change, sentence):
    with pytest.raises(RecipeError, match=sentence):
        SlicePlan.of(change, "plan")


def test_known_values_are_offered(cohort, tmp_path):
    (cohort / "cohort.csv").write_text("subject,sex\nBraTS20_Training_001,F\n")
    with pytest.raises(DataError, match=r"Known attributes: sex \(F\)"):
        prepare(cohort, tmp_path / "out", PLAN.model_copy(update={"where": ("sex=f",)}))


def test_a_header_that_tells_no_side_is_said(cohort, tmp_path):
    for path in cohort.glob("*_001/*_t1.nii.gz"):
        image = nib.load(path)
        next(path.parent.glob("*_seg.nii.gz")).unlink()  # it would lie elsewhere
        header = image.header.copy()
        header["qform_code"] = header["sform_code"] = 0
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj), None, header), path)
    made = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    (said,) = made.about.notes.assumed
    assert said.startswith("BraTS20_Training_001 t1: its header does not tell left from right")
    (visit,) = (
        visit
        for visit in inspect(cohort, tmp_path / "seen", sequences=["t1"]).visits
        if visit.subject.id == "BraTS20_Training_001"
    )
    assert "does not tell left from right" in visit.remarks[0]
    vouched = PLAN.model_copy(update={"vouch_sides": True})
    assert not prepare(cohort, tmp_path / "vouched", vouched, workers=1).about.notes.assumed


def test_a_window_scales_all_scans_alike(cohort, tmp_path):
    narrow, wide = (
        prepare(cohort, tmp_path / f"{high}", PLAN.model_copy(update={"window": (0, high)}))
        for high in (200, 400)
    )
    bright = narrow.images.astype(float) + 1, wide.images.astype(float) + 1
    np.testing.assert_allclose(bright[0], 2 * bright[1], atol=0.01)
    assert 1.1 < bright[0].max() < 1.9
    with pytest.raises(RecipeError, match="window 5:1 must rise"):
        SlicePlan.of({"window": (5, 1)}, "plan")
    with pytest.raises(RecipeError, match="give one"):
        SlicePlan.of({"window": (0, 1), "percentiles": (1, 99)}, "plan")


def test_a_mask_that_is_too_small_for_a_brain_is_doubted(cohort, tmp_path):
    for path in cohort.glob("*_001/*_t1.nii.gz"):
        lesion = np.zeros((24, 28, 20), np.float32)
        lesion[10:13, 10:13, 8:11] = 1
        write_nifti(path.with_name(path.name.replace("_t1", "_brainmask")), lesion, "LPS")
    made = prepare(cohort, tmp_path / "out", PLAN, workers=1)
    (said,) = made.about.notes.assumed
    assert "its mask holds 0.0 cm3" in said and "was not taken for one of the brain" in said
    assert made.about.notes.brain == {"foreground": 10}
    seen = inspect(cohort, tmp_path / "seen", sequences=["t1"])
    assert any("its mask holds" in remark for visit in seen.visits for remark in visit.remarks)
