"""The simulated cohort: anatomy, contrast, tumours, and files that can be trusted."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch

from mrgantry.common.errors import DataError
from mrgantry.simulate import simulate
from mrgantry.simulate.anatomy import CANVAS, TISSUES
from mrgantry.simulate.cohort import grade_of
from mrgantry.simulate.contrast import SEQUENCES
from mrgantry.simulate.contrast import signal as signal_of
from mrgantry.simulate.fields import (
    Box,
    exponential,
    jacobian,
    lattice,
    random_field,
    refine,
    sample,
    smooth,
    stream,
)
from mrgantry.simulate.patient import Patient, draw_patient
from mrgantry.simulate.template import load_template
from mrgantry.simulate.tumour import TUMOUR_TISSUES


@pytest.fixture(scope="module")
def patient() -> Patient:
    return draw_patient(load_template(), seed=0, number=1, grade="HGG")


@pytest.fixture(scope="module")
def scans(patient: Patient) -> dict[str, torch.Tensor]:
    return {name: patient.scan(name) for name in SEQUENCES}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "cohort"
    return simulate(folder, subjects=2, seed=3, healthy=0.5, sequences=("t1",), workers=1)


def files(cohort: Path) -> dict[str, bytes]:
    """Everything in a cohort; its description names its folder, so that is left out."""
    found = (p for p in cohort.rglob("*") if p.is_file() and p.name != "cohort.json")
    return {str(p.relative_to(cohort)): p.read_bytes() for p in found}


def mean_in(patient: Patient, scan: torch.Tensor, chosen: torch.Tensor) -> float:
    voxels = patient.anatomy.voxels[chosen & patient.anatomy.brain]
    return float(scan.view(-1)[voxels].float().mean())


def pure(patient: Patient, tissue: str) -> torch.Tensor:
    """Where the true tissue map holds almost nothing else, away from the tumour."""
    share = patient.fractions[TISSUES.index(tissue)]
    return (share > 0.95) & (patient.tumour.labels == 0)


class TestFields:
    def test_random_field_has_unit_variance(self):
        field = random_field(stream(0, 1, "a"), (40, 48, 44), 2.0, smooth(4.0), 3)
        assert field.std() == pytest.approx(1, abs=0.15)
        assert field.mean().abs() < 0.01

    def test_sample_reads_a_plane_exactly(self):
        points = lattice((9, 7, 5))
        plane = (2 * points[0] - points[1] + 3 * points[2])[None]
        at = torch.tensor([[1.25, 7.5], [2.5, 0.25], [3.75, 1.5]])
        assert torch.allclose(sample(plane, at)[0], 2 * at[0] - at[1] + 3 * at[2], atol=1e-4)

    def test_refine_reads_its_box_of_the_canvas(self):
        coarse = lattice((5, 6, 4), 4.0)
        box = Box((4, 8, 0), (9, 13, 5))
        assert torch.allclose(
            refine(coarse, 4, box), lattice((17, 21, 13))[:, 4:13, 8:21, 0:5], atol=1e-4
        )

    def test_exponential_keeps_volume_ratios_positive_where_a_plain_warp_folds(self):
        field = 8.0 * random_field(stream(0, 2, "warp"), (32, 32, 32), 4.0, smooth(14.0), 3)
        here = lattice((32, 32, 32), 4.0)
        assert jacobian(here + field, 4.0).min() < 0
        assert jacobian(here + exponential(field, 4.0), 4.0).min() > 0

    def test_streams_are_reproducible_and_differ(self):
        draws = [torch.randn(4, generator=stream(*s)) for s in [(0, 1, "a"), (0, 1, "a")]]
        assert torch.equal(*draws)
        for other in [(1, 1, "a"), (0, 2, "a"), (0, 1, "b")]:
            assert not torch.equal(draws[0], torch.randn(4, generator=stream(*other)))


class TestAnatomy:
    def test_warp_does_not_fold(self, patient):
        assert patient.anatomy.least_jacobian > 0

    def test_tissues_are_fractions(self, patient):
        assert patient.fractions.min() > -1e-5
        assert torch.allclose(patient.fractions.sum(0), torch.tensor(1.0), atol=1e-4)

    def test_brain_has_a_human_size(self, patient):
        assert 900 < int(patient.anatomy.brain.sum()) / 1000 < 1800  # cm3

    def test_brain_lies_inside_the_canvas(self, patient):
        box = patient.anatomy.box
        for start, length, whole in zip(box.corner, box.size, CANVAS, strict=True):
            assert 0 <= start < start + length <= whole

    def test_brains_differ(self, patient):
        other = draw_patient(load_template(), seed=0, number=2, grade="healthy")
        assert other.anatomy.age != patient.anatomy.age
        assert other.anatomy.voxels.shape != patient.anatomy.voxels.shape

    @pytest.mark.slow
    def test_no_warp_of_many_folds(self):
        for number in range(1, 31):
            drawn = draw_patient(load_template(), seed=5, number=number, grade="HGG")
            assert drawn.anatomy.least_jacobian > 0
            assert set(drawn.labels().unique().tolist()) == {0, 1, 2, 4}


class TestContrast:
    def test_t1_shows_white_brighter_than_grey_than_fluid(self, patient, scans):
        white, grey, fluid = (
            mean_in(patient, scans["t1"], pure(patient, t)) for t in ("white", "grey", "csf")
        )
        assert white > 1.05 * grey > 1.3 * fluid

    def test_t2_reverses_t1(self, patient, scans):
        white, grey, fluid = (
            mean_in(patient, scans["t2"], pure(patient, t)) for t in ("white", "grey", "csf")
        )
        assert 1.05 * white < grey < 0.7 * fluid

    def test_flair_nulls_fluid(self, patient, scans):
        # Deep in fluid, since thick slices mix in the tissue beside it.
        share = torch.zeros(patient.anatomy.box.size)
        share.view(-1)[patient.anatomy.voxels] = patient.fractions[TISSUES.index("csf")]
        deep = -torch.nn.functional.max_pool3d(-share[None], 3, 1, 1)[0]
        fluid = deep.view(-1)[patient.anatomy.voxels] > 0.9
        assert fluid.sum() > 500
        grey = mean_in(patient, scans["flair"], pure(patient, "grey"))
        assert mean_in(patient, scans["flair"], fluid) < 0.15 * grey

    def test_gadolinium_brightens_label_4_only(self, patient):
        # The same scanner and noise with and without the agent.
        with_agent = patient.protocol("t1c")
        signals = {}
        for sequence in ("t1", "t1c"):
            protocol = replace(with_agent, sequence=sequence)
            signals[sequence] = {n: signal_of(t, protocol) for n, t in patient.tissues.items()}
        gain = {n: signals["t1c"][n] / signals["t1"][n] for n in signals["t1"]}
        vessels = gain.pop("blood")
        assert min(vessels, gain.pop("enhancing")) > 1.3 * max(gain.values())
        share = patient.tumour.tissues[TUMOUR_TISSUES.index("enhancing")]
        assert share[patient.tumour.labels == 4].mean() > 0.8
        assert share[patient.tumour.labels != 4].mean() < 0.01
        assert share[(patient.tumour.labels == 0) & patient.anatomy.brain].max() == 0

    def test_t1c_is_brightest_in_label_4(self, patient, scans):
        labels = patient.tumour.labels
        enhancing, oedema, core = (
            mean_in(patient, scans["t1c"], labels == label) for label in (4, 2, 1)
        )
        assert enhancing > 1.2 * max(oedema, core)

    def test_oedema_is_bright_in_flair(self, patient, scans):
        oedema = mean_in(patient, scans["flair"], patient.tumour.labels == 2)
        assert oedema > 1.2 * mean_in(patient, scans["flair"], pure(patient, "white"))

    def test_background_is_zero_and_brain_is_not(self, patient, scans):
        inside = torch.zeros(patient.anatomy.box.size, dtype=torch.bool)
        inside.view(-1)[patient.anatomy.voxels[patient.anatomy.brain]] = True
        for scan in scans.values():
            assert torch.equal(scan > 0, inside)


class TestTumour:
    def test_labels_are_those_of_brats(self, patient):
        assert patient.labels().unique().tolist() == [0, 1, 2, 4]

    def test_low_grade_does_not_enhance(self):
        low = draw_patient(load_template(), seed=0, number=1, grade="LGG")
        assert low.labels().unique().tolist() == [0, 1, 2]

    def test_same_head_with_and_without_tumour(self, patient):
        well = draw_patient(load_template(), seed=0, number=1, grade="healthy")
        assert well.anatomy.age == patient.anatomy.age
        assert well.tissues == patient.tissues
        assert well.protocol("t1") == patient.protocol("t1")
        assert int(well.labels().sum()) == 0

    def test_core_stays_on_its_side_of_the_falx_or_crosses_in_white_matter(self, patient):
        core = (patient.tumour.labels == 1) | (patient.tumour.labels == 4)
        assert patient.anatomy.barrier[core].mean() < 0.05


class TestCohort:
    def test_layout_header_and_manifest(self, cohort):
        assert (cohort / "HGG/sim-0001/sim-0001_t1.nii.gz").exists()
        assert (cohort / "healthy/sim-0002/sim-0002_t1.nii.gz").exists()
        for file in cohort.rglob("*.nii.gz"):
            image = nib.load(file)
            assert image.shape == (240, 240, 155)
            assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
            assert image.affine[:3, 3].tolist() == [0, 239, 0]
            assert bytes(image.header["descrip"]).startswith(b"simulated by mrgantry")
            segmented = "_seg" in file.name
            assert image.get_data_dtype() == (np.uint8 if segmented else np.int16)
            assert image.dataobj.slope == 1
            assert np.asarray(image.dataobj)[0].max() == 0
        table = pd.read_csv(cohort / "cohort.csv")
        assert table["grade"].tolist() == ["HGG", "healthy"]
        assert (table["least_jacobian"] > 0).all()
        about = json.loads((cohort / "cohort.json").read_text())
        assert about["simulated"] is True
        assert "no evidence about patients" in about["statement"]
        assert "McGill" in about["template"]["notice"]
        assert "NeuroImage" in about["template"]["citation"]
        assert (cohort / "preview.png").stat().st_size > 10_000

    def test_volumes_in_the_manifest_are_those_of_the_labels(self, cohort):
        table = pd.read_csv(cohort / "cohort.csv")
        for _, row in table.iterrows():
            name = row["subject"]
            labels = nib.load(cohort / row["grade"] / name / f"{name}_seg.nii.gz").get_fdata()
            assert row["oedema_cm3"] == pytest.approx((labels == 2).sum() / 1000, abs=1e-3)
            assert row["enhancing_cm3"] == pytest.approx((labels == 4).sum() / 1000, abs=1e-3)

    def test_manifest_centre_lies_in_the_tumour(self, cohort):
        row = pd.read_csv(cohort / "cohort.csv").iloc[0]
        labels = nib.load(cohort / "HGG/sim-0001/sim-0001_seg.nii.gz").get_fdata()
        found = np.argwhere(labels > 0)
        centre = row[["centre_x", "centre_y", "centre_z"]].to_numpy(float)
        assert (found.min(0) <= centre).all()
        assert (centre <= found.max(0)).all()

    def test_resume_repairs_to_the_same_bytes(self, cohort):
        before = files(cohort)
        folder = cohort / "HGG/sim-0001"
        (folder / "sim-0001_t1.nii.gz").unlink()
        (folder / ".1234.sim-0001_t1.nii.gz").write_bytes(b"half")
        (cohort / "healthy/sim-0002/subject.json").unlink()
        (cohort / "cohort.csv").unlink()
        kept = (folder / "sim-0001_seg.nii.gz").stat().st_mtime_ns
        simulate(cohort, subjects=2, seed=3, healthy=0.5, sequences=("t1",), workers=1)
        assert files(cohort) == before
        assert (folder / "sim-0001_seg.nii.gz").stat().st_mtime_ns == kept

    def test_finished_cohort_is_left_alone(self, cohort, monkeypatch):
        monkeypatch.setattr("mrgantry.simulate.cohort.draw_patient", None)
        before = files(cohort)
        simulate(cohort, subjects=2, seed=3, healthy=0.5, sequences=("t1",), workers=1)
        assert files(cohort) == before

    def test_subject_depends_on_neither_cohort_sequences_nor_workers(self, cohort, tmp_path):
        other = tmp_path / "other"
        simulate(other, subjects=1, seed=3, healthy=0.5, sequences=("t1",), workers=2)
        shared = {"HGG/sim-0001/sim-0001_t1.nii.gz", "HGG/sim-0001/sim-0001_seg.nii.gz"}
        more = tmp_path / "more"
        simulate(more, subjects=1, seed=3, healthy=0.5, sequences=("flair", "t1"), workers=1)
        for name in shared:
            expected = (cohort / name).read_bytes()
            assert (other / name).read_bytes() == expected
            assert (more / name).read_bytes() == expected

    @pytest.mark.parametrize("healthy", [0.0, 0.2, 0.29, 0.5, 0.7, 1.0])
    def test_fractions_hold_exactly(self, healthy):
        grades = [grade_of(number, healthy) for number in range(1, 101)]
        assert grades.count("healthy") == round(100 * healthy)
        tumours = 100 - round(100 * healthy)
        assert grades.count("LGG") == tumours // 4

    @pytest.mark.parametrize("high_grade", [0.0, 0.2, 0.75, 1.0])
    def test_high_grade_fraction_holds_exactly(self, high_grade):
        grades = [grade_of(number, 0.5, high_grade) for number in range(1, 201)]
        assert grades.count("HGG") == round(100 * high_grade)
        assert grades.count("healthy") == 100

    @pytest.mark.slow
    def test_killed_run_continues_to_the_same_bytes(self, tmp_path):
        whole = simulate(tmp_path / "whole", subjects=3, sequences=("t1", "t2"), workers=1)
        code = (
            "from pathlib import Path; from mrgantry.simulate import simulate; "
            f"simulate(Path({str(tmp_path / 'cut')!r}), 3, sequences=('t1', 't2'), workers=1)"
        )
        for seconds in (5.0, 6.3, 7.1):
            run = subprocess.Popen([sys.executable, "-c", code])
            time.sleep(seconds)
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
        cut = simulate(tmp_path / "cut", subjects=3, sequences=("t1", "t2"), workers=1)
        assert files(cut) == files(whole)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first person of `cohort` again, at two visits and without the tumour."""
    folder = tmp_path_factory.mktemp("simulated") / "sessions"
    return simulate(
        folder, 1, 3, 0.5, ("t1", "flair"), t1="spgr", visits=2, twins=True, workers=1
    )  # fmt: skip


def voxels(cohort: Path, session: str, sequence: str) -> np.ndarray:
    file = cohort / session / f"{Path(session).name}_{sequence}.nii.gz"
    return np.asarray(nib.load(file).dataobj).astype(float)


class TestSessions:
    def test_first_visit_is_the_same_as_an_only_one(self, sessions, cohort, tmp_path):
        alone = simulate(tmp_path / "alone", 1, 3, 0.5, ("t1", "flair"), t1="spgr", workers=1)
        for name in ("t1", "flair", "seg"):
            once = (alone / f"HGG/sim-0001/sim-0001_{name}.nii.gz").read_bytes()
            assert (sessions / f"HGG/sim-0001_1/sim-0001_1_{name}.nii.gz").read_bytes() == once

    def test_visits_share_labels_and_brain_but_neither_protocol_nor_noise(self, sessions):
        first, second = (
            {s: voxels(sessions, f"HGG/sim-0001_{v}", s) for s in ("t1", "flair", "seg")}
            for v in (1, 2)
        )
        assert np.array_equal(first["seg"], second["seg"])
        for sequence in ("t1", "flair"):
            brain = first[sequence] > 0
            assert np.array_equal(brain, second[sequence] > 0)
            once, again = first[sequence][brain], second[sequence][brain]
            assert (once == again).mean() < 0.1
            assert np.corrcoef(once, again)[0, 1] > 0.7
        protocols = pd.read_csv(sessions / "cohort.csv")[["t1_slice_mm", "t1_noise", "flair_ti"]]
        assert (protocols.iloc[0] != protocols.iloc[1]).all()

    def test_twin_has_the_brain_and_scanner_but_no_tumour(self, sessions):
        sick, well = ("HGG/sim-0001_1", "healthy/sim-0001_well")
        assert voxels(sessions, well, "seg").max() == 0
        table = pd.read_csv(sessions / "cohort.csv").set_index("subject")
        protocol = [c for c in table if c.startswith(("t1_", "flair_")) or c == "latent_age"]
        assert table.loc["sim-0001_1", protocol].equals(table.loc["sim-0001_well", protocol])
        far = voxels(sessions, sick, "t1") > 0
        # Beyond the reach of the mass effect: the other hemisphere's far side.
        centre = table.loc["sim-0001_1", ["centre_x", "centre_y", "centre_z"]].to_numpy(float)
        places = np.indices(far.shape, np.float32)
        far &= np.linalg.norm(places - centre.reshape(3, 1, 1, 1), axis=0) > 95
        assert far.sum() > 20_000
        with_tumour, without = (voxels(sessions, s, "t1")[far] for s in (sick, well))
        assert np.corrcoef(with_tumour, without)[0, 1] > 0.98

    def test_manifest_names_person_and_visit(self, sessions):
        table = pd.read_csv(sessions / "cohort.csv")
        assert table["subject"].tolist() == ["sim-0001_1", "sim-0001_2", "sim-0001_well"]
        assert table["person"].tolist() == ["sim-0001"] * 3
        assert table["visit"].tolist() == [1, 2, 1]
        assert table["grade"].tolist() == ["HGG", "HGG", "healthy"]
        assert set(table["t1_kind"]) == {"spgr"}

    def test_command_in_the_description_makes_it_again(self, sessions):
        command = json.loads((sessions / "cohort.json").read_text())["command"]
        for words in ("--sequence t1 --sequence flair", "--t1 spgr", "--visits 2", "--twins"):
            assert words in command


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"subjects": 0}, "at least one subject"),
            ({"healthy": 1.5}, "between 0 and 1"),
            ({"sequences": ("t1", "pd")}, "got pd"),
            ({"sequences": ()}, "got none"),
            ({"seed": -1}, "negative"),
            ({"workers": 0}, "At least one worker"),
            ({"high_grade": -0.1}, "high-grade fraction must lie between 0 and 1"),
            ({"t1": "flash"}, "mprage, spgr, se, not by flash"),
            ({"visits": 0}, "at least one visit"),
        ],
    )
    def test_bad_arguments(self, tmp_path, arguments, words):
        with pytest.raises(DataError, match=words):
            simulate(tmp_path / "cohort", **arguments)
        assert not (tmp_path / "cohort").exists()

    @pytest.mark.parametrize(
        "change",
        [
            {"seed": 4},
            {"healthy": 0.0},
            {"sequences": ("t1", "t2")},
            {"subjects": 1},
            {"high_grade": 0.5},
            {"t1": "se"},
            {"visits": 2},
            {"twins": True},
        ],
    )
    def test_another_cohort_in_the_same_folder(self, cohort, change):
        arguments = {"subjects": 2, "seed": 3, "healthy": 0.5, "sequences": ("t1",)} | change
        with pytest.raises(DataError, match=f"was simulated with {next(iter(change))}"):
            simulate(cohort, **arguments)

    def test_a_folder_of_other_files(self, tmp_path):
        (tmp_path / "scan.nii").touch()
        with pytest.raises(DataError, match="holds other files"):
            simulate(tmp_path)

    def test_a_file(self, tmp_path):
        (tmp_path / "cohort").touch()
        with pytest.raises(DataError, match="is a file"):
            simulate(tmp_path / "cohort")
