"""The simulated cohort: anatomy, contrast, tumours, and files that can be trusted."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import ndimage
from torch._subclasses.fake_tensor import FakeTensorMode
from typer.testing import CliRunner

from mrgantry.cli import app
from mrgantry.common.errors import DataError, RunError
from mrgantry.data.subjects import find_subjects
from mrgantry.simulation import simulate
from mrgantry.simulation.anatomy import (
    CANVAS,
    COARSE,
    TISSUES,
    HeadShape,
    build_anatomy,
    draw_head,
    place,
)
from mrgantry.simulation.cohort import (
    Design,
    grade_of,
    sessions_of,
    write_brats,
    write_sagittal,
)
from mrgantry.simulation.contrast import (
    AVERAGE,
    SEQUENCES,
    T1_KINDS,
    ScanProtocol,
    _thick_slices,
    acquire,
)
from mrgantry.simulation.contrast import signal as signal_of
from mrgantry.simulation.fields import (
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
from mrgantry.simulation.patient import Patient, draw_patient
from mrgantry.simulation.stroke import TERRITORIES, Stroke, occlude, places_of, territory
from mrgantry.simulation.template import STEPS, Template, load_template
from mrgantry.simulation.tumour import TUMOUR_TISSUES, plant


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


def in_brain(patient: Patient, volume: np.ndarray) -> torch.Tensor:
    """Read a volume at the voxels of the brain."""
    return torch.from_numpy(volume).view(-1)[patient.anatomy.voxels[patient.anatomy.inside]]


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

    def test_jacobian_sees_a_fold_at_any_corner(self):
        points = lattice((4, 4, 4))
        assert torch.allclose(jacobian(2 * points, 1.0), torch.tensor(8.0))
        for corner in itertools.product((1, 2), repeat=3):
            folded = points.clone()
            folded[(0, *corner)] += 1.5 * (1 if corner[0] == 1 else -1)
            assert jacobian(folded, 1.0)[1, 1, 1] < 0

    def test_streams_are_reproducible_and_differ(self):
        draws = [torch.randn(4, generator=stream(*s)) for s in [(0, 1, "a"), (0, 1, "a")]]
        assert torch.equal(*draws)
        for other in [(1, 1, "a"), (0, 2, "a"), (0, 1, "b")]:
            assert not torch.equal(draws[0], torch.randn(4, generator=stream(*other)))


@pytest.mark.slow
def test_a_machine_without_a_prepared_template_prepares_it(tmp_path, monkeypatch):
    kept = load_template()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    load_template.cache_clear()
    torch.testing.assert_close(load_template().maps, kept.maps)
    assert list(tmp_path.rglob("template-*.npz"))
    load_template.cache_clear()


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

    def test_whole_maps_of_many_people_do_not_fold(self):
        template = load_template()
        for number in range(1, 13):
            head = draw_head(template, stream(5, number, "head"))
            focus = plant(template, head, stream(5, number, "tumour"), high_grade=True)
            points, least = place(template, head, focus.push)
            # Seen along the axes and against them: from the first corner of a cell and the last.
            assert jacobian(points, 4.0).min() > 0
            assert jacobian(points.flip(1, 2), 4.0).min() > 0
            assert 0.05 < least < 1

    def test_insula_is_a_sheet(self, patient):
        template = load_template()
        head = draw_head(template, stream(0, 1, "head"))
        points, _ = place(template, head)
        mni = points + torch.tensor(template.origin).reshape(3, 1, 1, 1)
        x, y, z = refine(mni, 4, patient.anatomy.box)
        there = (x.abs() > 34) & (x.abs() < 44) & (y > -15) & (y < 18) & (z > -6) & (z < 12)
        well = draw_patient(template, seed=0, number=1, grade="healthy").anatomy
        grey = torch.zeros(well.box.size, dtype=torch.bool)
        grey.view(-1)[well.voxels] = well.tissues[TISSUES.index("grey")] > 0.5
        depth = ndimage.distance_transform_edt(grey.numpy()) - 0.5
        thickness = 4 * depth[(grey & there).numpy()].mean()  # of a sheet
        assert 2 < thickness < 4.5  # mm


def everyone_t1(subjects: int) -> list[np.ndarray]:
    """One axial level of several healthy people."""
    levels = []
    for number in range(1, subjects + 1):
        patient = draw_patient(load_template(), seed=0, number=number, grade="healthy")
        volume = np.zeros(CANVAS)
        volume[patient.anatomy.box.slices()] = patient.scan("t1").numpy()
        levels.append(volume[:, :, 80])
    return levels


class TestDiversity:
    @pytest.mark.slow
    def test_pairs_are_less_alike_than_people_bent_from_one_average(self):
        levels = everyone_t1(8)
        found = []
        for i, a in enumerate(levels):
            for b in levels[:i]:
                both = (a > 0) & (b > 0)
                found.append(np.corrcoef(a[both], b[both])[0, 1])
        assert np.mean(found) < 0.41


class TestContrast:
    def test_t1_shows_white_brighter_than_grey_than_fluid(self, patient, scans):
        white, grey, fluid = (
            mean_in(patient, scans["t1"], pure(patient, t)) for t in ("white", "grey", "csf")
        )
        assert white > 1.05 * grey > 1.3 * fluid

    @pytest.mark.parametrize("kind", T1_KINDS)
    def test_every_protocol_shows_that_order(self, patient, kind):
        for sequence in ("t1", "t1c"):
            scan = patient.scan(sequence, t1_kind=kind)
            assert patient.protocol(sequence, t1_kind=kind).kind == kind
            white, grey, fluid = (
                mean_in(patient, scan, pure(patient, t)) for t in ("white", "grey", "csf")
            )
            assert white > 1.08 * grey
            assert grey > 1.15 * fluid

    def test_slice_profiles_are_averages(self):
        ramp = torch.arange(12.0).expand(2, 3, 12)
        for thickness in (1.0, 1.7, 3.0, 4.5):
            thick = _thick_slices(ramp, thickness)
            assert torch.allclose(thick[..., 3:-3], ramp[..., 3:-3], atol=1e-5)
            edge = torch.zeros(1, 1, 12)
            edge[..., 6] = 1
            assert _thick_slices(edge, thickness).sum() == pytest.approx(1, abs=1e-5)
            assert _thick_slices(edge, thickness).max() == pytest.approx(1 / thickness, abs=1e-5)

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
        # Rims are thin: 0.60 to 0.80 in eight patients, this one among them.
        assert share[patient.tumour.labels == 4].mean() > 0.5
        assert share[patient.tumour.labels != 4].mean() < 0.01
        assert share[(patient.tumour.labels == 0) & patient.anatomy.brain].max() == 0

    @pytest.mark.parametrize("kind", T1_KINDS)
    def test_nothing_brightens_outside_label_4_and_vessels(self, patient, kind):
        protocol = replace(patient.protocol("t1c", t1_kind=kind), slice_mm=1.0, noise=0.0)
        before, after = (
            acquire(
                replace(protocol, sequence=sequence), patient.tissues, patient.fractions,
                patient.anatomy, stream(0, 1, "same"),
            ).view(-1)[patient.anatomy.voxels][patient.anatomy.brain].float()
            for sequence in ("t1", "t1c")
        )  # fmt: skip
        gain = after / before
        parts = patient.fractions[:, patient.anatomy.brain]
        vessel = parts[TISSUES.index("blood")] > 0.005
        label = (patient.labels() == 4).numpy()
        assert gain[in_brain(patient, label)].mean() > 1.3
        # Voxels at its edge hold a part of it.
        near = in_brain(patient, ndimage.binary_dilation(label, iterations=2))
        elsewhere = gain[~near & ~vessel]
        assert elsewhere.mean() < 1.05
        assert elsewhere.quantile(torch.tensor(0.995)) < 1.3

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

    @pytest.mark.slow
    def test_volumes_are_those_of_brats(self):
        drawn = [draw_patient(load_template(), 5, n, "HGG").labels() for n in range(1, 25)]
        counts = torch.stack([labels.flatten().bincount(minlength=5) for labels in drawn])
        assert (counts[:, [1, 2, 4]] > 0).all()
        necrosis, oedema, enhancing = (
            float(counts[:, label].median()) / 1000 for label in (1, 2, 4)
        )
        # The median of 24 is uncertain by a factor of about 1.3.
        assert 54 / 1.6 < oedema < 54 * 1.6  # cm3
        assert 12 / 1.6 < necrosis < 12 * 1.6
        assert 15 / 1.6 < enhancing < 15 * 1.6

    def test_lesion_in_flair_is_uneven(self, patient, scans):
        lesion = patient.labels() > 0
        bright = scans["flair"][lesion].float()
        assert bright.std() / bright.mean() > 0.12
        assert (bright > 0.9 * bright.quantile(torch.tensor(0.99))).float().mean() < 0.35

    def test_same_head_with_and_without_tumour(self, patient):
        well = draw_patient(load_template(), seed=0, number=1, grade="healthy")
        assert well.anatomy.age == patient.anatomy.age
        assert well.tissues == patient.tissues
        assert well.protocol("t1") == patient.protocol("t1")
        assert int(well.labels().sum()) == 0

    def test_core_stays_on_its_side_of_the_falx_or_crosses_in_white_matter(self, patient):
        core = (patient.tumour.labels == 1) | (patient.tumour.labels == 4)
        assert patient.anatomy.barrier[core].mean() < 0.05


@pytest.fixture
def two_devices():
    """Tensors that know shape and device only; mixing devices is an error."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


class TestDevice:
    """No GPU is needed: PyTorch's fake tensors refuse every meeting of two devices."""

    def test_fields_follow_the_default_device(self, two_devices):
        with torch.device("meta"):
            field = random_field(stream(0, 1, "a"), (8, 12, 10), 2.0, smooth(4.0), 3)
            moved = exponential(field, 2.0)
            fine = refine(moved, 4, Box((4, 4, 0), (9, 13, 5)))
            assert {t.device.type for t in (moved, fine, jacobian(moved, 2.0))} == {"meta"}
            with pytest.raises(RuntimeError, match="device"):
                field + torch.zeros(3, 8, 12, 10, device="cpu")

    def test_anatomy_and_scan_stay_on_the_device(self, two_devices, monkeypatch):
        # How many voxels are brain depends on values, which fake tensors have not.
        with torch.device("meta"):
            box, voxels = Box((4, 4, 4), (17, 17, 13)), torch.arange(900)
            here = dict.fromkeys(STEPS, torch.zeros(900))
            found = box, voxels, torch.zeros(3, 900), here
            monkeypatch.setattr("mrgantry.simulation.anatomy._read", lambda *_: found)
            head = HeadShape(
                torch.zeros(3, *COARSE), torch.zeros(3, 3), torch.zeros(3), 0.1, 0.5, 0.6
            )
            template = Template(torch.zeros(9, 4, 4, 4), (-90.0, -120.0, -70.0))
            anatomy = build_anatomy(
                template, head, torch.zeros(3, *COARSE), 0.5, stream(0, 1, "anatomy")
            )
            vars(anatomy)["inside"] = torch.arange(700)
            protocol = ScanProtocol("flair", "ir", 9.0, 120.0, 2.5, 90.0, 3.0, 0.01, 0.1, 500.0)
            scan = acquire(protocol, AVERAGE, anatomy.tissues, anatomy, stream(0, 1, "noise"))
        assert {anatomy.tissues.device.type, anatomy.brain.device.type} == {"meta"}
        assert (scan.device.type, scan.dtype, scan.shape) == ("meta", torch.int16, box.size)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_same_patient_on_a_gpu(self, patient, scans):
        other = draw_patient(load_template(), seed=0, number=1, grade="HGG", device="cuda")
        assert other.focus.centre == patient.focus.centre
        assert (other.labels().cpu() == patient.labels()).float().mean() > 0.999
        for sequence, scan in scans.items():
            apart = (other.scan(sequence).cpu().float() - scan.float()).abs()
            assert (apart <= 0.02 * scan + 2).float().mean() > 0.99


class TestCohort:
    def test_layout_header_and_manifest(self, cohort):
        assert (cohort / "HGG/sim-2-3-0001/sim-2-3-0001_t1.nii.gz").exists()
        assert (cohort / "healthy/sim-2-3-0002/sim-2-3-0002_t1.nii.gz").exists()
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
        labels = nib.load(cohort / "HGG/sim-2-3-0001/sim-2-3-0001_seg.nii.gz").get_fdata()
        found = np.argwhere(labels > 0)
        centre = row[["centre_x", "centre_y", "centre_z"]].to_numpy(float)
        assert (found.min(0) <= centre).all()
        assert (centre <= found.max(0)).all()

    def test_resume_repairs_to_the_same_bytes(self, cohort):
        before = files(cohort)
        folder = cohort / "HGG/sim-2-3-0001"
        (folder / "sim-2-3-0001_t1.nii.gz").unlink()
        (folder / ".1234.sim-2-3-0001_t1.nii.gz").write_bytes(b"half")
        (cohort / "healthy/sim-2-3-0002/subject.json").unlink()
        (cohort / "cohort.csv").unlink()
        kept = (folder / "sim-2-3-0001_seg.nii.gz").stat().st_mtime_ns
        simulate(cohort, subjects=2, seed=3, healthy=0.5, sequences=("t1",), workers=1)
        assert files(cohort) == before
        assert (folder / "sim-2-3-0001_seg.nii.gz").stat().st_mtime_ns == kept

    def test_finished_cohort_is_left_alone(self, cohort, monkeypatch):
        monkeypatch.setattr("mrgantry.simulation.cohort.draw_patient", None)
        before = files(cohort)
        simulate(cohort, subjects=2, seed=3, healthy=0.5, sequences=("t1",), workers=1)
        assert files(cohort) == before

    def test_subject_depends_on_neither_cohort_sequences_nor_workers(self, cohort, tmp_path):
        other = tmp_path / "other"
        simulate(other, subjects=1, seed=3, healthy=0.5, sequences=("t1",), workers=2)
        shared = {
            "HGG/sim-2-3-0001/sim-2-3-0001_t1.nii.gz",
            "HGG/sim-2-3-0001/sim-2-3-0001_seg.nii.gz",
        }
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
            once = (alone / f"HGG/sim-2-3-0001/sim-2-3-0001_{name}.nii.gz").read_bytes()
            assert (
                sessions / f"HGG/sim-2-3-0001_1/sim-2-3-0001_1_{name}.nii.gz"
            ).read_bytes() == once

    def test_visits_share_labels_and_brain_but_neither_protocol_nor_noise(self, sessions):
        first, second = (
            {s: voxels(sessions, f"HGG/sim-2-3-0001_{v}", s) for s in ("t1", "flair", "seg")}
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
        sick, well = ("HGG/sim-2-3-0001_1", "healthy/sim-2-3-0001_well")
        assert voxels(sessions, well, "seg").max() == 0
        table = pd.read_csv(sessions / "cohort.csv").set_index("subject")
        protocol = [c for c in table if c.startswith(("t1_", "flair_")) or c == "latent_age"]
        assert table.loc["sim-2-3-0001_1", protocol].equals(
            table.loc["sim-2-3-0001_well", protocol]
        )
        far = voxels(sessions, sick, "t1") > 0
        # Beyond the reach of the mass effect: the other hemisphere's far side.
        centre = table.loc["sim-2-3-0001_1", ["centre_x", "centre_y", "centre_z"]].to_numpy(float)
        places = np.indices(far.shape, np.float32)
        far &= np.linalg.norm(places - centre.reshape(3, 1, 1, 1), axis=0) > 95
        assert far.sum() > 20_000
        with_tumour, without = (voxels(sessions, s, "t1")[far] for s in (sick, well))
        assert np.corrcoef(with_tumour, without)[0, 1] > 0.98

    def test_command_line_passes_every_option(self, monkeypatch):
        seen = {}
        monkeypatch.setattr(
            "mrgantry.simulation.simulate", lambda *args, **named: seen.update(named)
        )
        words = "--visits 2 --twins --high-grade 0.5 --t1 se --device cpu --workers 1"
        words += " --disease stroke --healthy-visits 1"
        assert CliRunner().invoke(app, ["simulate", "c", *words.split()]).exit_code == 0
        assert seen == {
            "visits": 2, "twins": True, "high_grade": 0.5, "t1": "se", "device": "cpu",
            "workers": 1, "cluster": None, "disease": "stroke", "healthy_visits": 1,
        }  # fmt: skip

    def test_manifest_names_person_and_visit(self, sessions):
        table = pd.read_csv(sessions / "cohort.csv")
        assert table["subject"].tolist() == [
            "sim-2-3-0001_1",
            "sim-2-3-0001_2",
            "sim-2-3-0001_well",
        ]
        assert table["person"].tolist() == ["sim-2-3-0001"] * 3
        assert table["visit"].tolist() == [1, 2, 1]
        assert table["grade"].tolist() == ["HGG", "HGG", "healthy"]
        assert set(table["t1_kind"]) == {"spgr"}

    def test_command_in_the_description_makes_it_again(self, sessions):
        command = json.loads((sessions / "cohort.json").read_text())["command"]
        for words in ("--sequence t1 --sequence flair", "--t1 spgr", "--visits 2", "--twins"):
            assert words in command


@pytest.fixture(scope="module")
def struck(patient: Patient) -> Patient:
    return draw_patient(load_template(), seed=0, number=1, grade="stroke")


class TestStroke:
    @pytest.mark.parametrize("artery", TERRITORIES)
    @pytest.mark.parametrize("age", ["chronic", "acute"])
    def test_an_infarct_lies_in_its_territory_and_side(self, patient, artery, age):
        whole = Stroke(patient.anatomy, torch.zeros(len(patient.anatomy.voxels)), ())
        found = occlude(whole, artery, "right", age, stream(0, 1, "stroke"))
        (infarct,) = found.infarcts
        least, greatest = TERRITORIES[artery][1:]
        assert least <= infarct.radius <= greatest
        lost = (patient.anatomy.tissues[:2] - found.anatomy.tissues[:2]).sum(0)
        struck = (lost > 0.3) if age == "chronic" else (found.swollen > 0.3)
        struck &= patient.anatomy.brain
        _, places = places_of(patient.anatomy)
        # Borders of territories are drawn anew for each person, so that some lie beyond.
        assert (places[0, struck] > -0.25).all()
        assert territory(artery, places[:, struck]).float().mean() > 0.5
        assert struck.sum() > 30 and infarct.cm3 > 0.02

    def test_tissues_stay_fractions(self, struck):
        assert (struck.fractions > -1e-5).all()
        torch.testing.assert_close(struck.fractions.sum(0), torch.ones(len(struck.fractions[0])))

    def test_the_brain_is_that_of_the_healthy_person_elsewhere(self, struck):
        healthy = draw_patient(load_template(), seed=0, number=1, grade="healthy")
        scans = [one.scan("t1").float() for one in (struck, healthy)]
        changed = (scans[0] != scans[1]).float().mean()
        assert 0 < changed < 0.1  # of the box, with the noise of both the same
        assert healthy.infarcts == () and not struck.labels().any()

    def test_cavities_are_dark_and_acute_infarcts_bright_in_flair(self, patient):
        flair = patient.protocol("flair")
        white, fluid, infarct = (signal_of(AVERAGE[n], flair) for n in ("white", "csf", "infarct"))
        assert fluid < 0.2 * white and infarct > 1.3 * white


@pytest.fixture(scope="module")
def spgr(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("spgr") / "cohort"
    return simulate(
        folder, 1, 3, 0.5, ("t1",), t1="kazuhiro2018", disease="stroke", visits=2,
        healthy_visits=1, workers=1,
    )  # fmt: skip


class TestPublishedSpgr:
    def test_patients_are_scanned_twice_and_healthy_people_once(self):
        design = Design(2, 3, 0.5, ["t1"], 1.0, None, 2, False, "cpu", "stroke", 1)
        named = [(s.name, s.grade, s.visit) for n in (1, 2) for s in sessions_of(design, n)]
        assert named == [
            ("sim-2-3-0001_1", "stroke", 1),
            ("sim-2-3-0001_2", "stroke", 2),
            ("sim-2-3-0002", "healthy", 1),
        ]

    def test_files_name_the_disease(self, spgr):
        table = pd.read_csv(spgr / "cohort.csv")
        assert table["grade"].tolist() == ["stroke", "stroke"]
        assert table["infarcts"].str.contains("cm3").all()
        subjects = find_subjects(spgr, ("t1",), None)
        assert [subject.attributes["grade"] for subject in subjects] == ["stroke", "stroke"]

    def test_protocol_and_voxels_are_the_papers(self, spgr):
        table = pd.read_csv(spgr / "cohort.csv")
        settings = table[["t1_kind", "t1_tr", "t1_te", "t1_flip"]].drop_duplicates()
        assert settings.to_numpy().tolist() == [["spgr", 0.0086, 1.8, 8.0]]
        for file in spgr.rglob("*.nii.gz"):
            image = nib.load(file)
            assert image.shape == (124, 256, 256)
            assert image.header.get_zooms() == pytest.approx((1.5, 0.94, 0.94))
            assert nib.aff2axcodes(image.affine) == ("R", "A", "S")

    def test_a_part_lies_where_it_lies_in_brats_voxels(self, tmp_path):
        part = np.zeros((60, 70, 50), np.int16)
        part[10:40, 20:60, 15:45] = 100
        middles = []
        for write in (write_brats, write_sagittal):
            write(tmp_path / f"{write.__name__}.nii.gz", part, Box((50, 60, 40), part.shape), 0)
            image = nib.load(tmp_path / f"{write.__name__}.nii.gz")
            inside = np.argwhere(image.get_fdata() > 0)
            middles.append(nib.affines.apply_affine(image.affine, inside).mean(0))
            volume = len(inside) * np.abs(np.linalg.det(image.affine))
            assert volume == pytest.approx(30 * 40 * 30, rel=0.05)
        np.testing.assert_allclose(*middles, atol=0.6)

    def test_slices_are_averages_and_nothing_leaks_outside(self, tmp_path):
        part = np.zeros((60, 70, 50), np.int16)
        part[20:40] = np.where(np.arange(20) % 2, 300, 100)[:, None, None]
        write_sagittal(tmp_path / "a.nii.gz", part, Box((50, 60, 40), part.shape), 0)
        voxels = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
        inner = voxels[voxels.any((1, 2))][2:-2]
        inner = inner[inner > 0]
        assert (
            inner.min() > 120 and inner.max() < 280 and inner.mean() == pytest.approx(200, abs=15)
        )


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"subjects": 0}, "at least one subject"),
            ({"healthy": 1.5}, "between 0 and 1"),
            ({"sequences": ("t1", "pd")}, "got pd"),
            ({"sequences": ()}, "got none"),
            ({"seed": -1}, "between 0 and 999,999,999"),
            ({"seed": 1_000_000_000}, "reserved for the weights"),
            ({"workers": 0}, "At least one worker"),
            ({"high_grade": -0.1}, "high-grade fraction must lie between 0 and 1"),
            ({"t1": "flash"}, "mprage, spgr, se, kazuhiro2018, not by flash"),
            ({"visits": 0}, "at least one visit"),
            ({"healthy_visits": 0}, "at least one visit"),
            ({"disease": "flu"}, "tumour or stroke, not flu"),
            ({"device": "toaster"}, "Device toaster cannot be used"),
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
        with pytest.raises(RunError, match=f"{next(iter(change))} was"):
            simulate(cohort, **arguments)

    def test_a_cohort_whose_people_had_other_names_is_not_continued(self, tmp_path):
        simulate(tmp_path, 1, sequences=("t1",), healthy=1.0)
        about = json.loads((tmp_path / "cohort.json").read_text())
        del about["people"]
        (tmp_path / "cohort.json").write_text(json.dumps(about))
        with pytest.raises(RunError, match="people was None, now 'sim-2-0-0001'"):
            simulate(tmp_path, 2, sequences=("t1",), healthy=1.0)

    def test_a_folder_of_other_files(self, tmp_path):
        (tmp_path / "scan.nii").touch()
        with pytest.raises(RunError, match="is not empty"):
            simulate(tmp_path)

    def test_a_file(self, tmp_path):
        (tmp_path / "cohort").touch()
        with pytest.raises(RunError, match="is a file"):
            simulate(tmp_path / "cohort")
