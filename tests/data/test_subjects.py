import json
from pathlib import Path

import pytest

from mrgantry.common.errors import DataError
from mrgantry.data import find_subjects
from mrgantry.data.names import sequence_of
from scans import phantom, write_dicom


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


def test_brats_2013_names_folders_by_grade_and_number(tmp_path):
    for grade in ("HG", "LG"):
        for word, number in (("MR_T1c", 1), ("MR_Flair", 2)):
            name = f"VSD.Brain.XX.O.{word}.{number}"
            touch(tmp_path, f"{grade}/0001/{name}/{name}.mha")
        touch(tmp_path, f"{grade}/0001/VSD.Brain_3more.XX.XX.OT.3/VSD.Brain_3more.XX.XX.OT.3.mha")
    high, low = find_subjects(tmp_path)
    assert (high.id, low.id) == ("HG-0001", "LG-0001")
    assert list(high.scans) == ["t1c", "flair"] and high.tumour is not None
    assert high.attributes["grade"] == "HGG"


def test_brats_2012_and_2015(tmp_path):
    touch(tmp_path, *(f"a/BRATS_HG0001/BRATS_HG0001_{w}.mha" for w in ("T1", "T2", "truth")))
    (subject,) = find_subjects(tmp_path / "a")
    assert (subject.id, list(subject.scans)) == ("BRATS_HG0001", ["t1", "t2"])
    assert subject.tumour and subject.tumour.name.endswith("truth.mha")
    for visit in (1, 2):
        place = f"b/HGG/brats_tcia_pat105_{visit:04d}/VSD.Brain.XX.O.MR_T1.{visit}"
        touch(tmp_path, f"{place}/VSD.Brain.XX.O.MR_T1.{visit}.mha")
    one, two = find_subjects(tmp_path / "b")
    assert one.id == two.id == "brats_tcia_pat105"
    assert (one.session, two.session) == ("0001", "0002")


@pytest.mark.parametrize(
    ("name", "person", "session"),
    [
        ("Brats18_CBICA_AAB_1", "Brats18_CBICA_AAB", "1"),
        ("BraTS2021_00012", "BraTS2021_00012", ""),
        ("BraTS20_Training_001", "BraTS20_Training_001", ""),
        ("BraTS-GLI-00012-001", "BraTS-GLI-00012", "001"),
        ("OAS1_0001_MR2", "OAS1_0001", "MR2"),
        ("OAS30001_MR_d0129", "OAS30001", "d0129"),
        ("UPENN-GBM-00001_11", "UPENN-GBM-00001", "11"),
        ("sim-2-0-0001_well", "sim-2-0-0001", "well"),
        ("sim-2-0-0001", "sim-2-0-0001", ""),
        ("sim-2-1-2001", "sim-2-1-2001", ""),
        ("ward-1-0-0007", "ward-1-0-0007", ""),
        ("pat7_visit2", "pat7", "visit2"),
        ("anna", "anna", ""),
    ],
)
def test_names_tell_visits(tmp_path, name, person, session):
    touch(tmp_path, f"{name}/{name}_t1.nii.gz", "other/other_t1.nii.gz")
    found = {subject.name: subject for subject in find_subjects(tmp_path)}
    subject = next(s for key, s in found.items() if key != "other")
    assert (subject.id, subject.session) == (person, session)


def test_nested_visits_belong_to_one_person(tmp_path):
    for place in ("p1/baseline", "p1/visit2/anat", "p2/2019-03-01", "p3"):
        touch(tmp_path, f"{place}/t1.nii.gz")
    found = [(s.id, s.session) for s in find_subjects(tmp_path)]
    assert found == [("p1", "baseline"), ("p1", "visit2"), ("p2", "2019-03-01"), ("p3", "")]


def test_sites_are_not_people(tmp_path):
    touch(tmp_path, "siteA/001/t1.nii.gz", "siteA/002/t1.nii.gz", "siteB/001/t1.nii.gz")
    assert [s.id for s in find_subjects(tmp_path)] == ["siteA-001", "siteA-002", "siteB-001"]


def test_a_folder_a_sequence(tmp_path):
    for person in ("p1", "p2"):
        touch(tmp_path, f"{person}/T1/scan.nii.gz", f"{person}/004_t2_flair/x.nrrd")
    one, two = find_subjects(tmp_path)
    assert (one.id, list(one.scans), two.id) == ("p1", ["t1", "flair"], "p2")


def test_flat_names_keep_their_spelling_and_visits(tmp_path):
    touch(tmp_path, "BraTS-GLI-00012-000-t1n.nii.gz", "BraTS-GLI-00012-000-t2w.nii.gz")
    touch(tmp_path, "BraTS-GLI-00012-001-t1n.nii.gz", "BraTS-GLI-00013-000-t1n.nii.gz")
    found = [(s.id, s.session, list(s.scans)) for s in find_subjects(tmp_path)]
    assert found == [
        ("BraTS-GLI-00012", "000", ["t1", "t2"]),
        ("BraTS-GLI-00012", "001", ["t1"]),
        ("BraTS-GLI-00013", "000", ["t1"]),
    ]


def test_dicom_series_are_told_by_their_folder(tmp_path):
    for person in ("p1", "p2"):
        touch(tmp_path, *(f"{person}/003_t1_mprage/IM{n}.dcm" for n in range(3)))
        touch(tmp_path, *(f"{person}/005_flair/IM{n}.dcm" for n in range(3)))
    one, _ = find_subjects(tmp_path)
    assert {k: v.name for k, v in one.scans.items()} == {
        "t1": "003_t1_mprage",
        "flair": "005_flair",
    }


def test_oasis_takes_the_atlas_copy_and_its_mask(tmp_path):
    for visit in (1, 2):
        name = f"OAS1_0001_MR{visit}"
        stem = f"disc1/{name}/PROCESSED/MPRAGE/T88_111/{name}_mpr_n4_anon_111_t88"
        touch(tmp_path, f"{stem}_gfc.hdr", f"{stem}_masked_gfc.hdr", f"{stem}_gfc.img")
        touch(tmp_path, f"disc1/{name}/RAW/{name}_mpr-1_anon.hdr")
    one, two = find_subjects(tmp_path)
    assert (one.id, one.session, two.session) == ("OAS1_0001", "MR1", "MR2")
    assert one.scans["t1"].name.endswith("t88_gfc.hdr")
    assert one.mask and one.mask.name.endswith("masked_gfc.hdr")


def test_tumour_labels_can_be_named(tmp_path):
    touch(tmp_path, "p1/T1.nii.gz", "p1/GOLD_lesions.nii.gz", "p1/seg.nii.gz")
    assert find_subjects(tmp_path)[0].tumour is None
    (subject,) = find_subjects(tmp_path, tumour_labels="*lesion*")
    assert subject.tumour and subject.tumour.name == "GOLD_lesions.nii.gz"
    with pytest.raises(DataError, match=r"No file beside the scans .* named like '\*core\*'"):
        find_subjects(tmp_path, tumour_labels="*core*")


@pytest.mark.parametrize("name", ["label_tumor", "tumour_labels", "T1_label-tumor"])
def test_a_name_that_says_tumour_labels_needs_no_layout(tmp_path, name):
    for case in ("case_0001", "case_0002"):
        touch(tmp_path, *(f"{case}/{w}.nii.gz" for w in ("image_t1", "image_t2", name, "seg")))
    one, two = find_subjects(tmp_path)
    assert (one.id, list(one.scans), two.id) == ("case_0001", ["t1", "t2"], "case_0002")
    assert one.scans["t1"].name == "image_t1.nii.gz" and not one.remarks
    assert one.tumour and one.tumour.name == f"{name}.nii.gz"
    (told, _) = find_subjects(tmp_path, tumour_labels="seg*")
    assert told.tumour and told.tumour.name == "seg.nii.gz"


def test_tumour_labels_in_one_plain_folder(tmp_path):
    touch(tmp_path, "anna_t1.nii.gz", "anna_label_tumor.nii.gz", "bert_t1.nii.gz")
    touch(tmp_path, "bert_label.nii.gz", "bert_tumor.nii.gz")  # of tissues? a probability?
    anna, bert = find_subjects(tmp_path)
    assert anna.tumour and anna.tumour.name == "anna_label_tumor.nii.gz"
    assert bert.tumour is None


def test_of_two_files_one_is_taken_and_said(tmp_path):
    touch(tmp_path, "p1/T1.nii.gz", "p1/T1.mgz")
    (subject,) = find_subjects(tmp_path)
    assert subject.remarks == ("t1: T1.mgz was taken, not T1.nii.gz",)


def test_a_sole_file_that_was_assumed_is_said(tmp_path):
    touch(tmp_path, "anna/scan.nii.gz", "bert/scan.nii.gz")
    assert find_subjects(tmp_path, ["t2"])[0].remarks == (
        "scan.nii.gz is taken for the t2 that was asked for",
    )


def test_links_are_followed_but_never_round_and_round(tmp_path):
    touch(tmp_path, "store/p1/t1.nii.gz", "store/p2/t1.nii.gz")
    study = tmp_path / "study"
    study.mkdir()
    (study / "p1").symlink_to(tmp_path / "store/p1")
    (study / "p2").symlink_to(tmp_path / "store/p2")
    (tmp_path / "store/p2/loop").symlink_to(study)
    assert [s.id for s in find_subjects(study)] == ["p1", "p2"]


def test_numbered_folders_of_one_person_are_visits_and_said_so(tmp_path):
    touch(tmp_path, *(f"{p}/{v}/T1.nii.gz" for p in ("anna", "bert") for v in ("01", "02")))
    found = find_subjects(tmp_path)
    assert [(s.id, s.session) for s in found[:2]] == [("anna", "01"), ("anna", "02")]
    assert found[0].remarks == ("01 is taken for a visit of anna",)
    dates = tmp_path / "dates"
    touch(dates, "anna/2019_01_02/T1.nii.gz", "anna/20200304/T1.nii.gz")
    assert {s.id for s in find_subjects(dates)} == {"anna"}


def test_many_numbers_or_a_group_above_are_people(tmp_path):
    touch(tmp_path, *(f"a/controls/{n}/T1.nii.gz" for n in range(8, 13)))
    assert len({s.id for s in find_subjects(tmp_path / "a")}) == 5
    touch(tmp_path, *(f"b/ucsf/{n}/T1.nii.gz" for n in range(20)))
    assert len({s.id for s in find_subjects(tmp_path / "b")}) == 20
    touch(tmp_path, *(f"c/study_volunteer0{n}_t1.nii.gz" for n in range(3)))
    assert len({s.id for s in find_subjects(tmp_path / "c")}) == 3


def test_numbered_dicom_series_belong_to_the_person_above(tmp_path):
    for person in ("patX", "patY"):
        touch(tmp_path, f"{person}/0007/IM1.dcm", f"{person}/0008/IM1.dcm")
    for file in tmp_path.rglob("*.dcm"):
        file.write_bytes(b"no DICOM: its folder is known by the sequence asked for")
    found = find_subjects(tmp_path, ["t1"])
    assert {s.id for s in found} <= {"patX", "patY"}


def test_the_user_can_say_whose_scans_they_are(tmp_path):
    touch(tmp_path, "x-anna-1/t1.nii.gz", "x-anna-2/t1.nii.gz", "x-bert-1/t1.nii.gz")
    found = find_subjects(tmp_path, person=r"x-(\w+)-(\d)")
    assert [(s.id, s.session) for s in found] == [("anna", "1"), ("anna", "2"), ("bert", "1")]
    assert len({s.id for s in find_subjects(tmp_path, person=r"x-(\w+)-\d")}) == 2
    with pytest.raises(DataError, match=r"--person 'y\(.\)' finds nobody in x-anna-1"):
        find_subjects(tmp_path, person="y(.)")
    with pytest.raises(DataError, match="must be a regular expression with a group"):
        find_subjects(tmp_path, person="x-")


def test_names_of_all_languages_stay_apart(tmp_path):
    touch(tmp_path, "张三_T1.nii.gz", "李四_T1.nii.gz", "Ørsted Bo_T1.nii.gz")
    assert sorted(s.id for s in find_subjects(tmp_path)) == ["Ørsted Bo", "张三", "李四"]


def test_a_bids_lesion_map_is_no_brain_mask(tmp_path):
    anat = "sub-01/anat/sub-01"
    touch(tmp_path, f"{anat}_T1w.nii.gz", f"{anat}_label-lesion_dseg.nii.gz")
    assert find_subjects(tmp_path)[0].mask is None


def test_a_segmentation_of_one_sequence_is_no_tumour(tmp_path):
    touch(tmp_path, "p1/T1.nii.gz", "p1/T2.nii.gz", "p1/FLAIR.nii.gz", "p1/T1_fast_seg.nii.gz")
    assert find_subjects(tmp_path)[0].tumour is None


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("AX T1 GAD", "t1c"),
        ("T1+C", "t1c"),
        ("t1_mprage_postGd", "t1c"),
        ("t1_mprage_Gadovist", "t1c"),
        ("CE-T1", "t1c"),
        ("T1W_3D_TFE_Gd", "t1c"),
        ("T1gad", "t1c"),
        ("t1_pre_contrast", "t1"),
        ("T1_without_gd", "t1"),
        ("t2_tirm_tra_dark-fluid", "flair"),
        ("t2_space_dark-fluid_sag_p2_iso", "flair"),
        ("T2W_FLAIR_SENSE", "flair"),
        ("Sag_CUBE_T2_FLAIR", "flair"),
        ("t2_tirm_cor", "t2"),
    ],
)
def test_names_as_scanners_write_them(tmp_path, name, sequence):
    touch(tmp_path, f"p1/{name}.nii.gz")
    (subject,) = find_subjects(tmp_path)
    assert list(subject.scans) == [sequence]


def test_a_folder_a_sequence_holds_each_person_once(tmp_path):
    """As IXI is delivered."""
    for sequence in ("T1", "T2", "PD"):
        touch(tmp_path, *(f"IXI-{sequence}/IXI00{k}-HH-{sequence}.nii.gz" for k in (2, 3)))
    people = find_subjects(tmp_path)
    assert [(person.id, list(person.scans)) for person in people] == [
        (f"IXI00{k}-HH", ["t1", "t2", "pd"]) for k in (2, 3)
    ]


def test_people_of_one_name_in_two_places_are_not_joined(tmp_path):
    touch(tmp_path, "first/anna/scan_t1.nii.gz", "second/anna/scan_t2.nii.gz")
    with pytest.raises(DataError, match="Subject anna stands twice"):
        find_subjects(tmp_path)


@pytest.mark.parametrize("name", ["dwi", "ADC_map", "localizer", "SWAN", "pet"])
def test_what_is_no_anatomical_scan_never_passes_for_one(tmp_path, name):
    touch(tmp_path, "p1/scan.nii.gz", f"p2/{name}.nii.gz")
    (subject,) = find_subjects(tmp_path, ["t1"])
    assert subject.id == "p1"


def test_maps_in_one_folder_belong_to_the_person_whose_name_they_begin_with(tmp_path):
    for person in ("pat1", "pat12"):
        touch(tmp_path, *(f"{person}_{word}.nii.gz" for word in ("t1", "flair", "lesion")))
    people = find_subjects(tmp_path, tumour_labels="*lesion*")
    assert {person.id: person.tumour.name for person in people} == {
        "pat1": "pat1_lesion.nii.gz",
        "pat12": "pat12_lesion.nii.gz",
    }


def test_ids_of_a_table_may_lack_their_prefix(tmp_path):
    touch(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    table = "\ufeffparticipant_id\tsex\r\n01\tF\r\n"
    (tmp_path / "participants.tsv").write_text(table, encoding="utf-8")
    (subject,) = find_subjects(tmp_path)
    assert subject.attributes["sex"] == "F"


def test_a_mask_whose_type_is_a_lesion_is_no_brain(tmp_path):
    touch(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    for person, kind in (("sub-01", "Lesion"), ("sub-02", "Brain")):
        mask = f"derivatives/manual/{person}/anat/{person}_desc-manual_mask"
        touch(tmp_path, f"{mask}.nii.gz")
        (tmp_path / f"{mask}.json").write_text(f'{{"Type": "{kind}"}}')
    lesion, brain = find_subjects(tmp_path)
    assert lesion.mask is None and brain.mask is not None


def series_of(folder, patient):
    write_dicom(phantom(), folder, patient=patient)


def people_in(folder):
    return {
        (subject.id, subject.session): subject.remarks for subject in find_subjects(folder, ["t1"])
    }


def test_adni_as_loni_delivers_it(tmp_path):
    for person in ("002_S_0295", "011_S_0021"):
        for date in ("2006-04-10_08_20_30.0", "2007-04-10_08_21_30.0"):
            series_of(tmp_path / person / "MPRAGE" / date / "I13722", person)
    assert {visit[0] for visit in people_in(tmp_path)} == {"002_S_0295", "011_S_0021"}
    assert len(people_in(tmp_path)) == 4


def test_tcia_as_it_is_delivered(tmp_path):
    for person in ("TCGA-02-0003", "TCGA-02-0006"):
        for date in ("06-08-1990-NA-MRI BRAIN-81230", "06-08-1991-NA-MRI BRAIN-81231"):
            series_of(tmp_path / "TCGA-GBM" / person / date / "3.000000-AXIAL T1-60921", person)
    assert {visit[0] for visit in people_in(tmp_path)} == {"TCGA-02-0003", "TCGA-02-0006"}


def test_numbers_below_a_modality_are_visits(tmp_path):
    for person in ("389859405", "389859777"):
        for visit in ("20382374", "20399121"):
            series_of(tmp_path / person / "MR" / visit / "Ax_T1_FSE", person)
    assert set(people_in(tmp_path)) == {
        (person, visit)
        for person in ("389859405", "389859777")
        for visit in ("20382374", "20399121")
    }


def test_a_patient_id_joins_what_folders_tell_apart(tmp_path):
    for folder, patient in (("exam a", "1"), ("exam b", "2"), ("exam c", "1")):
        series_of(tmp_path / folder / "t1", patient)
    people = people_in(tmp_path)
    assert {person for person, _ in people} == {"exam a", "exam b"}
    (said,) = people["exam a", "exam c"]
    assert said == "exam c is taken for a visit of exam a, as its PatientID says"


def test_one_patient_id_for_all_tells_nothing(tmp_path):
    for folder in ("anna", "bert"):
        series_of(tmp_path / folder / "t1", "anonymous")
    assert set(people_in(tmp_path)) == {("anna", ""), ("bert", "")}


def test_a_pattern_is_believed_before_a_patient_id(tmp_path):
    for folder, patient in (("a1", "1"), ("b1", "2"), ("a2", "3")):
        series_of(tmp_path / folder / "t1", patient)
    found = find_subjects(tmp_path, ["t1"], person="^([ab])")
    assert {subject.id for subject in found} == {"a", "b"}


def test_oasis_2(tmp_path):
    for visit in ("OAS2_0001_MR1", "OAS2_0001_MR2", "OAS2_0002_MR1"):
        for repeat in (1, 2):
            touch(tmp_path, f"{visit}/RAW/mpr-{repeat}.nifti.hdr")
    people = people_in(tmp_path)
    assert set(people) == {("OAS2_0001", "MR1"), ("OAS2_0001", "MR2"), ("OAS2_0002", "MR1")}
    assert people["OAS2_0001", "MR1"] == ("t1: mpr-1.nifti.hdr was taken, not mpr-2.nifti.hdr",)


def test_series_that_bear_the_name_of_their_folder_are_one_persons(tmp_path):
    """As dcm2niix writes them."""
    for person in ("patient01", "patient02"):
        for series in ("t1_mprage_sag_5", "t1_se_tra_6", "t2_tirm_tra_dark-fluid_8"):
            touch(tmp_path, f"{person}/{person}_{series}.nii.gz")
    people = find_subjects(tmp_path)
    assert [(person.id, list(person.scans)) for person in people] == [
        (f"patient0{k}", ["t1", "flair"]) for k in (1, 2)
    ]


def test_people_who_are_called_like_a_sequence_are_people(tmp_path):
    touch(tmp_path, "group/PD-001/scan_t1.nii.gz", "group/PD-002/scan_t1.nii.gz")
    assert {person for person, _ in people_in(tmp_path)} == {"PD-001", "PD-002"}


def test_freesurfer_subjects(tmp_path):
    for name in ("bert0", "bert1"):
        touch(tmp_path, *(f"{name}/mri/{file}" for file in ("T1.mgz", "aseg.mgz", "orig/001.mgz")))
    assert set(people_in(tmp_path)) == {("bert0", ""), ("bert1", "")}


def test_before_and_after_contrast_are_one_persons(tmp_path):
    for person in ("anna", "bert"):
        touch(tmp_path, f"{person}_T1_pre.nii.gz", f"{person}_T1_post.nii.gz")
    people = find_subjects(tmp_path)
    assert [(person.id, list(person.scans)) for person in people] == [
        ("anna", ["t1", "t1c"]),
        ("bert", ["t1", "t1c"]),
    ]


def test_exams_that_were_anonymised_one_by_one_stay_one_persons(tmp_path):
    """Two PatientIDs below one person's folder must not put the person into two splits."""
    for folder, patient in (("anna/visit1", "1"), ("anna/visit2", "2"), ("bert/visit1", "3")):
        series_of(tmp_path / folder / "t1", patient)
    assert {visit[0] for visit in people_in(tmp_path)} == {"anna", "bert"}
