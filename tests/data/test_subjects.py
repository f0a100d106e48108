import json
from pathlib import Path

import pytest

from mrgantry.common.errors import DataError
from mrgantry.data import find_subjects
from mrgantry.data.subjects import sequence_of


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("BraTS19_CBICA_AAB_1_t1ce.nii.gz", "t1c"),
        ("BraTS-GLI-00000-000-t1n.nii.gz", "t1"),
        ("BraTS-GLI-00000-000-t2f.nii.gz", "flair"),
        ("sub-01_T2w.nii.gz", "t2"),
        ("VSD.Brain.XX.O.MR_T1c.54514.nii", "t1c"),
        ("T1POST_N4_brain_regtoFLAIR.nii.gz", "t1c"),
        ("FLAIR_regtoMNI.nii.gz", "flair"),
        ("T2_FLAIR.nii.gz", "flair"),
        ("t1_gd.nii.gz", "t1c"),
        ("T1_and_T2.nii.gz", None),
        ("scan.nii.gz", None),
        ("t10.nii.gz", None),
    ],
)
def test_a_name_tells_the_sequence(name, sequence):
    assert sequence_of(Path(name)) == sequence


def test_brats_2020(tmp_path):
    for number in (1, 2):
        name = f"BraTS20_Training_{number:03d}"
        touch(
            tmp_path, *(f"{name}/{name}_{w}.nii.gz" for w in ["t1", "t1ce", "t2", "flair", "seg"])
        )
    (tmp_path / "name_mapping.csv").write_text(
        "Grade,BraTS_2020_subject_ID\nHGG,BraTS20_Training_001\nLGG,BraTS20_Training_002\n"
    )
    one, two = find_subjects(tmp_path)
    assert (one.id, one.session, sorted(one.scans)) == (
        "BraTS20_Training_001",
        "",
        ["flair", "t1", "t1c", "t2"],
    )
    assert one.tumour and one.tumour.name == "BraTS20_Training_001_seg.nii.gz"
    assert (one.attributes["grade"], two.attributes["grade"]) == ("HGG", "LGG")


def test_brats_2018_tells_the_grade_by_the_folder(tmp_path):
    for grade in ("HGG", "LGG"):
        touch(tmp_path, f"{grade}/Brats18_{grade}/Brats18_{grade}_t1.nii.gz")
    assert [s.attributes["grade"] for s in find_subjects(tmp_path)] == ["HGG", "LGG"]


def test_brats_2023_visits_share_a_person(tmp_path):
    for visit in ("000", "001"):
        name = f"BraTS-GLI-00012-{visit}"
        touch(tmp_path, f"{name}/{name}-t1n.nii.gz", f"{name}/{name}-t2w.nii.gz")
        touch(tmp_path, f"{name}/{name}-seg.nii.gz")
    found = find_subjects(tmp_path)
    assert [(s.id, s.session) for s in found] == [
        ("BraTS-GLI-00012", "000"),
        ("BraTS-GLI-00012", "001"),
    ]


def test_bids_with_sessions_mask_and_table(tmp_path):
    (tmp_path / "dataset_description.json").write_text(json.dumps({"Name": "x"}))
    (tmp_path / "participants.tsv").write_text("participant_id\tage\nsub-01\t40\nsub-02\t50\n")
    touch(tmp_path, "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz")
    touch(tmp_path, "sub-01/ses-b/anat/sub-01_ses-b_ce-gd_T1w.nii.gz")
    touch(tmp_path, "sub-02/anat/sub-02_T1w.nii.gz", "sub-02/anat/sub-02_FLAIR.nii.gz")
    touch(tmp_path, "derivatives/x/sub-02/anat/sub-02_desc-brain_mask.nii.gz")
    one, two, three = find_subjects(tmp_path)
    assert [(s.id, s.session) for s in (one, two, three)] == [("01", "a"), ("01", "b"), ("02", "")]
    assert list(two.scans) == ["t1c"]
    assert sorted(three.scans) == ["flair", "t1"]
    assert three.mask and three.mask.name == "sub-02_desc-brain_mask.nii.gz"
    assert three.attributes["age"] == "50"


def test_people_in_one_plain_folder(tmp_path):
    touch(tmp_path, "anna_t1.nii.gz", "anna_t2.nii.gz", "bert_t1.nii.gz", "anna_brainmask.nii.gz")
    anna, bert = find_subjects(tmp_path)
    assert (anna.id, sorted(anna.scans)) == ("anna", ["t1", "t2"])
    assert anna.mask and anna.mask.name == "anna_brainmask.nii.gz"
    assert (bert.id, list(bert.scans), bert.mask) == ("bert", ["t1"], None)


def test_different_people_with_one_sequence_each_stay_apart(tmp_path):
    touch(tmp_path, "anna_t1.nii.gz", "bert_t2.nii.gz")
    assert [s.id for s in find_subjects(tmp_path)] == ["anna", "bert"]


def test_a_folder_a_person(tmp_path):
    touch(tmp_path, "anna/T1.nii.gz", "anna/FLAIR_registered.nii.gz", "bert/T1.nii.gz")
    anna, bert = find_subjects(tmp_path)
    assert (anna.id, sorted(anna.scans), bert.id) == ("anna", ["flair", "t1"], "bert")


def test_a_sole_file_is_the_sole_sequence_asked_for(tmp_path):
    touch(tmp_path, "anna/scan.nii.gz", "bert/volume.nii.gz")
    assert [list(s.scans) for s in find_subjects(tmp_path, ["t1"])] == [["t1"], ["t1"]]
    with pytest.raises(DataError, match="no scan whose name tells its sequence"):
        find_subjects(tmp_path)


def test_tissue_maps_are_not_tumours(tmp_path):
    touch(tmp_path, "anna/T1.nii.gz", "anna/seg.nii.gz")
    assert find_subjects(tmp_path)[0].tumour is None


def test_one_subject_twice_is_refused(tmp_path):
    touch(tmp_path, "a/anna/t1.nii.gz", "b/anna/t1.nii.gz")
    with pytest.raises(DataError, match="anna stands twice"):
        find_subjects(tmp_path)


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        find_subjects(tmp_path / "absent")
    with pytest.raises(DataError, match="holds no scan"):
        find_subjects(tmp_path)


def test_a_lesion_mask_is_no_brain_mask(tmp_path):
    touch(tmp_path, "plain/p1/t1.nii.gz", "plain/p1/lesion_mask.nii.gz")
    assert find_subjects(tmp_path / "plain")[0].mask is None
    anat = "bids/sub-01/anat/sub-01"
    touch(tmp_path, f"{anat}_T1w.nii.gz", f"{anat}_label-L_desc-T1lesion_mask.nii.gz")
    assert find_subjects(tmp_path / "bids")[0].mask is None


def test_a_bids_mask_is_no_scan(tmp_path):
    anat = "sub-01/anat/sub-01_space-T1w_desc"
    touch(tmp_path, f"{anat}-brain_mask.nii.gz", f"{anat}-preproc_T1w.nii.gz")
    (subject,) = find_subjects(tmp_path)
    assert subject.scans["t1"].name.endswith("preproc_T1w.nii.gz")
    assert subject.mask and subject.mask.name.endswith("brain_mask.nii.gz")


def test_grades_come_from_below_the_folder_asked_for(tmp_path):
    touch(tmp_path, "lg/scans/p1/t1.nii.gz", "lg/scans/HGG/p2/t1.nii.gz")
    found = find_subjects(tmp_path / "lg/scans")
    assert [subject.attributes for subject in found] == [{}, {"grade": "HGG"}]


def test_a_stripped_copy_is_the_same_person(tmp_path):
    touch(tmp_path, "p1_T1.nii.gz", "p1_T1_brain.nii.gz", "p2_T1.nii.gz")
    assert [subject.id for subject in find_subjects(tmp_path)] == ["p1", "p2"]


def test_bids_without_anat_folders_is_read_as_plain_folders(tmp_path):
    touch(tmp_path, "sub-01/sub-01_T1w.nii.gz", "sub-02/sub-02_T1w.nii.gz")
    assert [subject.id for subject in find_subjects(tmp_path)] == ["sub-01", "sub-02"]
