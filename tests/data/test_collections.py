"""Collections as their owners left them: trees after those that people have."""

import json

import pytest

from mrgantry.common.errors import DataError
from mrgantry.data import find_subjects
from scans import phantom, write_dicom

DESCRIPTION, AGENT, DATE, STUDY = "0008|103e", "0018|0010", "0008|0020", "0020|000d"


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def visits(folder, *sequences, **how):
    return {(s.id, s.session): list(s.scans) for s in find_subjects(folder, sequences, **how)}


def said(folder, *sequences, **how):
    return {s.id: s.remarks for s in find_subjects(folder, sequences, **how)}


# --- trees of folders -------------------------------------------------------------------


def test_unknown_folders_below_a_persons_are_visits_and_said(tmp_path):
    for person in ("pat01", "pat02"):
        touch(tmp_path, f"{person}/alpha/t1.nii.gz", f"{person}/beta/t1.nii.gz")
    assert set(visits(tmp_path)) == {
        (f"pat0{k}", visit) for k in (1, 2) for visit in ("alpha", "beta")
    }
    assert ("alpha is taken for a visit of pat01",) in [s.remarks for s in find_subjects(tmp_path)]


def test_names_without_numbers_that_recur_are_visits(tmp_path):
    for person in ("anna", "bert"):
        touch(tmp_path, *(f"{person}/{visit}/t1.nii.gz" for visit in ("early", "late")))
    assert {person for person, _ in visits(tmp_path)} == {"anna", "bert"}


def test_numbered_names_below_a_name_without_number_are_people(tmp_path):
    touch(tmp_path, *(f"Guys/IXI00{k}/t1.nii.gz" for k in (1, 2)), "HH/IXI003/t1.nii.gz")
    assert {person for person, _ in visits(tmp_path)} == {"IXI001", "IXI002", "IXI003"}


@pytest.mark.parametrize("visit", ["baseline", "2019-01-01", "visit2", "followup"])
def test_a_folder_a_visit_may_stand_above_the_people(tmp_path, visit):
    touch(tmp_path, *(f"{visit}/{who}/t1.nii.gz" for who in ("anna", "bert")))
    touch(tmp_path, "ses-9/anna/t1.nii.gz")
    assert set(visits(tmp_path)) == {("anna", visit), ("bert", visit), ("anna", "ses-9")}


def test_scans_of_a_visit_may_lie_in_folders_below_it(tmp_path):
    for folder in ("anat/x", "other/y"):
        touch(tmp_path, f"pat1/2019-01-01/{folder}_t1.nii.gz")
    (subject,) = find_subjects(tmp_path)
    assert subject.remarks == ("t1: x_t1.nii.gz was taken, not y_t1.nii.gz",)


def test_two_scans_of_one_sequence_in_a_persons_folder_are_not_two_people(tmp_path):
    for person in ("pat01", "pat02"):
        touch(tmp_path, f"{person}/scan_12_t1.nii.gz", f"{person}/scan_13_t1.nii.gz")
    assert set(visits(tmp_path)) == {("pat01", ""), ("pat02", "")}


def test_the_user_chooses_among_scans_of_one_sequence(tmp_path):
    touch(tmp_path, "pat1/a_t1.nii.gz", "pat1/b_t1_tra.nii.gz", "pat2/d_t1.nii.gz")
    (first, second) = find_subjects(tmp_path, series=["*TRA*"])
    assert first.scans["t1"].name == "b_t1_tra.nii.gz"
    assert first.remarks == ("t1: b_t1_tra.nii.gz was taken, not a_t1.nii.gz",)
    assert second.scans["t1"].name == "d_t1.nii.gz"


# --- names in one folder ----------------------------------------------------------------


def test_words_of_technique_tell_no_people(tmp_path):
    touch(tmp_path, "pat1_ax_t1_tse.nii.gz", "pat1_sag_t2_FLAIR.nii.gz", "pat2_t1_n4.nii.gz")
    assert visits(tmp_path) == {("pat1", ""): ["t1", "flair"], ("pat2", ""): ["t1"]}


def test_numbers_of_series_tell_no_people(tmp_path):
    for person, first in (("anna", 3), ("bert", 5)):
        touch(tmp_path, f"{person}_t1_{first}.nii.gz", f"{person}_t2_{first + 1}.nii.gz")
    assert visits(tmp_path) == {("anna", ""): ["t1", "t2"], ("bert", ""): ["t1", "t2"]}


def test_numbers_of_people_do(tmp_path):
    touch(tmp_path, *(f"study_{k}_{w}.nii.gz" for k in (1, 2) for w in ("t1", "t2")))
    touch(tmp_path, "study_3_t1.nii.gz")
    assert {person for person, _ in visits(tmp_path)} == {"study_1", "study_2", "study_3"}


def test_flat_output_of_dcm2niix(tmp_path):
    for person in ("patient01", "patient02"):
        for name in ("AX_T1_FSE_20190102101010_4", "t2_tirm_tra_dark-fluid_20190102101010_7"):
            touch(tmp_path, f"{person}_{name}.nii.gz")
    touch(tmp_path, "patient01_AX_T1_FSE_20200102101010_3a.nii.gz")
    assert visits(tmp_path) == {
        ("patient01", "20190102"): ["t1", "flair"],
        ("patient01", "20200102"): ["t1"],
        ("patient02", "20190102"): ["t1", "flair"],
    }


@pytest.mark.parametrize("name", ["pat7_20190131", "20190131_pat7", "pat7-2019-01-31"])
def test_names_bear_dates(tmp_path, name):
    touch(tmp_path, f"{name}_t1.nii.gz", "pat8_20200101_t1.nii.gz")
    assert {person for person, _ in visits(tmp_path)} == {"pat7", "pat8"}


# --- headers and the files beside scans -------------------------------------------------


def beside(folder, name, **told):
    touch(folder, f"{name}.nii.gz")
    (folder / f"{name}.json").write_text(json.dumps(told))


def test_files_beside_scans_tell_who_is_one_person(tmp_path):
    beside(tmp_path, "exam1_t1", PatientID="secret-a")
    beside(tmp_path, "exam2_t1", PatientID="secret-b")
    beside(tmp_path, "exam3_t1", PatientID="secret-a")
    assert {person for person, _ in visits(tmp_path)} == {"exam1", "exam2"}
    assert "secret" not in str(find_subjects(tmp_path))


def test_files_beside_scans_tell_the_sequence(tmp_path):
    beside(tmp_path, "p1/scan_4", SeriesDescription="t2_tirm_tra_dark-fluid")
    beside(tmp_path, "p1/scan_5", SeriesDescription="AX T1", ContrastBolusAgent="Gadavist")
    beside(tmp_path, "p1/scan_6", SeriesDescription="ep2d_diff", ImageType=["ORIGINAL", "ADC"])
    assert visits(tmp_path) == {("p1", ""): ["t1c", "flair"]}
    assert visits(tmp_path, "adc") == {("p1", ""): ["t1c", "flair", "adc"]}


def test_a_lone_scan_whose_header_tells_otherwise_is_not_what_was_asked_for(tmp_path):
    beside(tmp_path, "p1/scan", SeriesDescription="localizer")
    beside(tmp_path, "p2/scan", SeriesDescription="AAHead_Scout")
    beside(tmp_path, "p3/scan", Modality="CT")
    beside(tmp_path, "p4/scan", SeriesDescription="head")
    assert visits(tmp_path, "t1") == {("p4", ""): ["t1"]}


def test_a_contrast_agent_makes_t1_a_t1c(tmp_path):
    write_dicom(phantom(), tmp_path / "p1/t1", **{AGENT: "Dotarem 15 ml"})
    write_dicom(phantom(), tmp_path / "p2/t1", **{AGENT: "none"})
    assert visits(tmp_path) == {("p1", ""): ["t1c"], ("p2", ""): ["t1"]}
    assert said(tmp_path)["p1"] == ("t1 is taken for t1c, as its header names a contrast agent",)


def test_series_in_one_folder_are_told_apart(tmp_path):
    for person in ("p1", "p2"):
        for series, told in ((1, "t1 mprage"), (2, "AX FLAIR"), (3, "localizer"), (4, "t1 se")):
            names = f"{series}-{{:03d}}.dcm"
            write_dicom(phantom(), tmp_path / person, str(series), names, **{DESCRIPTION: told})
    assert visits(tmp_path) == {("p1", ""): ["t1", "flair"], ("p2", ""): ["t1", "flair"]}
    assert said(tmp_path)["p1"] == ("t1: t1 mprage was taken, not t1 se",)
    chosen = find_subjects(tmp_path, series=["t1 se"])[0]
    assert chosen.scans["t1"].name == "4-000.dcm"


@pytest.mark.parametrize("below", ["", "DICOM", "patients"])
def test_people_in_one_folder_get_numbers(tmp_path, below):
    for series, patient in ((1, "Miller"), (2, "Jones"), (3, "Miller")):
        names = f"{series}-{{:03d}}.dcm"
        told = {DESCRIPTION: "t1" if series < 3 else "flair"}
        write_dicom(phantom(), tmp_path / below, str(series), names, patient, **told)
    assert visits(tmp_path) == {("person1", ""): ["t1", "flair"], ("person2", ""): ["t1"]}


def test_studies_in_one_folder_are_visits(tmp_path):
    for series, date in ((1, "20190101"), (2, "20200101")):
        names = f"{series}-{{:03d}}.dcm"
        told = {DATE: date, STUDY: f"1.2.{series}"}
        write_dicom(phantom(), tmp_path / "p1", str(series), names, **told)
    assert visits(tmp_path) == {("p1", "1"): ["t1"], ("p1", "2"): ["t1"]}
    assert "2019" not in str(find_subjects(tmp_path))


# --- what is no anatomical MR -----------------------------------------------------------


def test_diffusion_pet_and_ct_are_taken_if_asked_for(tmp_path):
    touch(tmp_path, *(f"p1/{name}.nii.gz" for name in ("t1", "DWI_ADC", "dwi", "PET", "CT")))
    assert visits(tmp_path, "t1") == {("p1", ""): ["t1"]}
    assert visits(tmp_path, "adc", "pet") == {("p1", ""): ["t1", "adc", "pet"]}
    touch(tmp_path, "only/p2/ct.nii.gz")
    with pytest.raises(DataError, match="holds ct alone, which is only taken if asked for"):
        find_subjects(tmp_path / "only")


@pytest.mark.parametrize(
    ("name", "sequence"),
    [
        ("MP-RAGE", "t1"),
        ("CT1", "t1c"),
        ("T2_star", None),
        ("ep2d_diff_t2_trace", "dwi"),
        ("SWI", "swi"),
        ("PET_T1space", None),
    ],
)
def test_more_names_of_sequences(tmp_path, name, sequence):
    touch(tmp_path, f"p1/{name}.nii.gz", "p2/t1.nii.gz")
    found = {s.id: list(s.scans) for s in find_subjects(tmp_path, ["t1", "dwi", "swi"])}
    assert found.get("p1") == ([sequence] if sequence else None)


# --- collections by name ----------------------------------------------------------------


def test_mslesseg_names_visits_like_sequences(tmp_path):
    for person in ("P1", "P2"):
        for visit in ("T1", "T2"):
            stem = f"train/{person}/{visit}/{person}_{visit}"
            touch(tmp_path, *(f"{stem}_{word}.nii.gz" for word in ("T1", "T2", "FLAIR", "MASK")))
    found = find_subjects(tmp_path, tumour_labels="*MASK*")
    assert [(s.id, s.session, list(s.scans)) for s in found] == [
        (person, visit, ["t1", "t2", "flair"]) for person in ("P1", "P2") for visit in ("T1", "T2")
    ]
    assert all(s.tumour and s.tumour.name.endswith("MASK.nii.gz") for s in found)


def test_ucsf_pdgm(tmp_path):
    for name in ("UCSF-PDGM-0004_nifti", "UCSF-PDGM-0315_nifti", "UCSF-PDGM-0315_FU001d_nifti"):
        stem = name.removesuffix("_nifti")
        words = ("T1", "T1_bias", "T1c", "FLAIR", "SWI", "DWI", "ADC", "ASL", "tumor_segmentation")
        touch(tmp_path, *(f"{name}/{stem}_{word}.nii.gz" for word in words))
    found = find_subjects(tmp_path)
    assert [(s.id, s.session) for s in found] == [
        ("UCSF-PDGM-0004", ""),
        ("UCSF-PDGM-0315", ""),
        ("UCSF-PDGM-0315", "FU001d"),
    ]
    assert list(found[0].scans) == ["t1", "t1c", "flair"]
    assert found[0].scans["t1"].name == "UCSF-PDGM-0004_T1.nii.gz"
    assert all(s.tumour for s in found)


def test_upenn_gbm_keeps_maps_in_a_folder_of_their_own(tmp_path):
    for name in ("UPENN-GBM-00001_11", "UPENN-GBM-00001_21", "UPENN-GBM-00002_11"):
        words = ("T1", "T1GD", "T2", "FLAIR")
        touch(tmp_path, *(f"images_structural/{name}/{name}_{word}.nii.gz" for word in words))
        touch(tmp_path, f"images_segm/{name}_segm.nii.gz")
    found = find_subjects(tmp_path)
    assert [(s.id, s.session) for s in found] == [
        ("UPENN-GBM-00001", "11"),
        ("UPENN-GBM-00001", "21"),
        ("UPENN-GBM-00002", "11"),
    ]
    assert all(s.tumour and s.tumour.name.startswith(s.name) for s in found)


def test_lumiere(tmp_path):
    for visit in ("week-000-1", "week-044"):
        place = f"Imaging/Patient-001/{visit}"
        touch(tmp_path, *(f"{place}/{word}.nii.gz" for word in ("T1", "CT1", "T2", "FLAIR")))
        touch(tmp_path, f"{place}/HD-GLIO-AUTO-segmentation/registered/segmentation.nii.gz")
    found = find_subjects(tmp_path, tumour_labels="segmentation.nii.gz")
    assert [(s.id, s.session) for s in found] == [
        ("Patient-001", "week-000-1"),
        ("Patient-001", "week-044"),
    ]
    assert list(found[0].scans) == ["t1", "t1c", "t2", "flair"]
    assert all(s.tumour for s in found)


def test_abide_and_indi(tmp_path):
    touch(tmp_path, *(f"CMU_a/CMU_a_00506{k}/anat/mprage.nii.gz" for k in (42, 43)))
    assert {person for person, _ in visits(tmp_path)} == {"CMU_a_0050642", "CMU_a_0050643"}
    old = tmp_path / "old"
    touch(old, *(f"0051456/session_{k}/anat_1/mprage.nii.gz" for k in (1, 2)))
    touch(old, "0051457/session_1/anat_1/mprage.nii.gz")
    assert set(visits(old)) == {
        ("0051456", "session_1"),
        ("0051456", "session_2"),
        ("0051457", "session_1"),
    }


def test_oasis_3(tmp_path):
    for visit in ("OAS30001_MR_d0129", "OAS30001_MR_d0757"):
        for place in ("anat2", "anat3"):
            touch(tmp_path, f"{visit}/{place}/NIFTI/sub-OAS30001_{visit[9:]}_T1w.nii.gz")
    assert set(visits(tmp_path)) == {("OAS30001", "d0129"), ("OAS30001", "d0757")}


@pytest.mark.parametrize("kind", ["GLI", "MEN", "MET", "PED", "SSA"])
def test_brats_2023_and_2024(tmp_path, kind):
    for name in (f"BraTS-{kind}-00001-000", f"BraTS-{kind}-00001-001", f"BraTS-{kind}-00002-000"):
        words = ("t1n", "t1c", "t2w", "t2f", "seg")
        touch(tmp_path, *(f"data/{name}/{name}-{word}.nii.gz" for word in words))
    found = find_subjects(tmp_path)
    assert [(s.id, s.session) for s in found] == [
        (f"BraTS-{kind}-00001", "000"),
        (f"BraTS-{kind}-00001", "001"),
        (f"BraTS-{kind}-00002", "000"),
    ]
    assert all(s.tumour and list(s.scans) == ["t1", "t1c", "t2", "flair"] for s in found)


def decathlon(folder, **told):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(told))


def test_the_decathlons_files_of_several_volumes(tmp_path):
    names = {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}
    decathlon(tmp_path, modality=names, labels={"1": "edema", "2": "enhancing tumor"})
    touch(tmp_path, *(f"{p}/BRATS_00{k}.nii.gz" for p in ("imagesTr", "labelsTr") for k in (1, 2)))
    first, second = find_subjects(tmp_path)
    assert {name: path.name for name, path in first.scans.items()} == {
        "flair": "BRATS_001.nii.gz#0",
        "t1": "BRATS_001.nii.gz#1",
        "t1c": "BRATS_001.nii.gz#2",
        "t2": "BRATS_001.nii.gz#3",
    }
    assert second.id == "BRATS_002" and second.tumour == tmp_path / "labelsTr/BRATS_002.nii.gz"


def test_nnunet_keeps_a_file_a_sequence(tmp_path):
    decathlon(tmp_path, channel_names={"0": "T1", "1": "FLAIR"}, labels={"hippocampus": 1})
    touch(tmp_path, *(f"imagesTr/case_7_000{k}.nii.gz" for k in (0, 1)), "labelsTr/case_7.nii.gz")
    (subject,) = find_subjects(tmp_path)
    assert subject.scans["flair"].name == "case_7_0001.nii.gz" and subject.tumour is None


def test_a_folder_that_ends_in_its_sequence_names_a_person(tmp_path):
    write_dicom(phantom(), tmp_path / "anna-t1-dicom")
    write_dicom(phantom(), tmp_path / "bert-t1-dicom")
    assert set(visits(tmp_path)) == {("anna", ""), ("bert", "")}
