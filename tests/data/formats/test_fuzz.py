"""Over a thousand damaged scans: each is refused in a sentence, or read rightly.

What "rightly" means, and why, stands in `mutants.py`, which does the damage.
"""

import gzip
import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

import mutants
from conftest import brain_phantom, write_nifti
from mrgantry.common.errors import DataError
from mrgantry.data import SlicePlan, prepare, read_volume
from scans import KINDS, Truth, phantom, to_itk

EACH = 74  # cases a format: 1,036 of all 14


def fuzz(folder: Path, first: int, count: int) -> tuple[dict[str, list[dict]], str]:
    """Damage and read scans of all formats in another process; give verdicts and last words."""
    command = [sys.executable, mutants.__file__, str(folder), "all", str(first), str(count)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts: dict[str, list[dict]] = {kind: [] for kind in KINDS}
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for line in lines:
        if "wrong" in line:
            verdicts[line["kind"]].append(line)
    crashed = f"status {done.returncode} after {lines[-1:]}" if done.returncode else ""
    return verdicts, crashed + done.stderr


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    return fuzz(tmp_path_factory.mktemp("fuzz"), 0, EACH)


def test_no_damage_kills_the_process_or_makes_a_library_speak(verdicts):
    assert verdicts[1] == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_scan_is_refused_or_read_rightly(verdicts, kind):
    cases = verdicts[0][kind]
    assert len(cases) == EACH
    assert [case for case in cases if case["wrong"]] == []
    # Neither answer is given to all.
    assert 10 < sum(bool(case["refused"]) for case in cases) < EACH - 3


@pytest.mark.slow
def test_ten_thousand_more(tmp_path):
    verdicts, said = fuzz(tmp_path, 10_000, 750)
    assert said == ""
    assert [case for cases in verdicts.values() for case in cases if case["wrong"]] == []


# --- one field at a time, where the answer is known -------------------------------------

MOVED, SAME, SCALED = "moved", "same", "scaled"
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "value", "outcome"),
    [
        ("descrip", b"no one reads this", SAME),
        ("xyzt_units", 255, SAME),
        ("intent_name", b"\xff\xfe\x00\x01", SAME),
        ("cal_max", NAN, SAME),
        ("toffset", INF, SAME),
        ("slice_duration", -1e30, SAME),
        ("scl_slope", 2, SCALED),
        ("scl_slope", -1, SCALED),
        ("scl_slope", INF, "scale of its voxels"),
        ("scl_slope", 1e16, "values up to"),
        ("scl_inter", NAN, "intercept"),
        ("srow_x", [0, 0, 1, -40], MOVED),
        ("srow_x", [NAN, 0, 1, 0], "geometry|contradict"),
        ("srow_x", [0, 0, -1, 0], "contradict each other"),
        ("srow_x", [0, 0, 0, 0], "geometry"),
        ("srow_y", [1e30, 0, 0, 0], "geometry|contradict"),
        ("qoffset_x", INF, "geometry"),
        ("pixdim", [1, 1, 2, 0, 1, 1, 1, 1], "geometry|contradict|truncated"),
        ("dim", [3, 12, 14, 9, 1, 1, 1, 1], "truncated"),
        ("dim", [3, 12, 14, 11, 1, 1, 1, 1], "truncated"),
        ("dim", [3, 14, 12, 0, 1, 1, 1, 1], "no scan of a brain"),
        ("dim", [3, -12, -14, 10, 1, 1, 1, 1], "no scan of a brain"),
        ("dim", [2, 168, 10, 1, 1, 1, 1, 1], "a scan has three axes"),
        ("dim", [4, 12, 14, 5, 2, 1, 1, 1], "a scan has three axes"),
        ("dim", [3, 32767, 32767, 32767, 1, 1, 1, 1], "no scan of a brain"),
        ("dim", [7, 32767, 32767, 32767, 32767, 32767, 32767, 32767], "three axes"),
        ("dim", [0, 0, 0, 0, 0, 0, 0, 0], "shape|truncated"),
        ("datatype", 64, "contradicts itself"),
        ("datatype", 9999, "damaged"),
        ("datatype", 128, "colours|contradicts"),
        ("bitpix", 24, "contradicts itself"),
        ("vox_offset", -352, "promises|damaged"),
        ("vox_offset", 354, "truncated"),
        ("vox_offset", 2**40, "no scan of a brain"),
        ("magic", b"nii", "not a NIfTI"),
    ],
)
@pytest.mark.parametrize("kind", ["nifti1", "nifti1-gz", "nifti2"])
def test_a_field_of_a_nifti_header(tmp_path, kind, field, value, outcome):
    path, _ = KINDS[kind](tmp_path)
    before = read_volume(path)
    packed = path.suffix == ".gz"
    data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    header = (nib.Nifti2Image if kind == "nifti2" else nib.Nifti1Image).header_class
    size = header.template_dtype.itemsize
    changed = header(data[:size], check=False)
    changed[field] = value
    data = changed.binaryblock + data[size:]
    path.write_bytes(gzip.compress(data) if packed else data)
    if outcome not in (SAME, SCALED, MOVED):
        with pytest.raises(DataError, match=outcome) as caught:
            read_volume(path)
        assert str(path) in str(caught.value) and str(caught.value).isprintable()
        return
    after = read_volume(path)
    factor = value if outcome == SCALED else 1
    np.testing.assert_array_equal(after.voxels, before.voxels * factor)
    assert after.stored_axes == before.stored_axes
    assert np.allclose(after.affine, before.affine) == (outcome != MOVED)


@pytest.mark.parametrize("kind", ["nifti1-big", "nifti2"])
def test_a_header_in_the_wrong_byte_order(tmp_path, kind):
    """A wrong order of floats shows in their values; of integers, nobody could tell."""
    path, truth = KINDS[kind](tmp_path)
    image = nib.load(path)
    other = image.header.as_byteswapped()
    nib.save(type(image)(truth.voxels, image.affine, other), path)
    np.testing.assert_array_equal(read_volume(path).voxels, truth.in_ras[0])
    data = path.read_bytes()
    path.write_bytes(data[: -truth.voxels.nbytes] + truth.voxels.tobytes(order="F"))
    with pytest.raises(DataError, match="its byte order is wrong|NaN or infinite|values up to"):
        read_volume(path)


@pytest.mark.parametrize("value", [1e300, -1e300, 1e20])
def test_doubles_that_no_scanner_gives_are_refused_without_a_warning(tmp_path, value):
    voxels = phantom(dtype="<f8").voxels.copy()
    voxels[3, 4, 5] = value
    truth = Truth(voxels, phantom().affine)
    sitk.WriteImage(to_itk(truth), str(tmp_path / "scan.mha"))
    nib.save(nib.Nifti1Image(voxels, truth.affine), tmp_path / "scan.nii")
    for name in ("scan.mha", "scan.nii"):
        with pytest.raises(DataError, match=r"it holds (1 voxels that are|values up to)"):
            read_volume(tmp_path / name)


# --- bombs ------------------------------------------------------------------------------

READ = """
import json, resource, sys
from pathlib import Path
from mrgantry.common.errors import DataError
from mrgantry.data.volume import read_volume

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

said = {}
for path in sys.argv[2:]:
    read_volume(Path(sys.argv[1]))  # so that all libraries are loaded
    before = peak()
    try:
        said[path] = str(read_volume(Path(path)).voxels.shape)
    except DataError as error:
        said[path] = str(error)
    said[path] = said[path], (peak() - before) / 1024
print(json.dumps(said))
"""
MEMBERS = 64  # of a gzip stream, each 64 MB of zeros packed to 64 kB: 4 GB


def bombs(folder: Path) -> list[Path]:
    """Write small files that promise or hold gigabytes."""
    more = gzip.compress(bytes(2**26)) * MEMBERS
    made = {}
    for kind, dims, large in (
        ("nifti1", slice(42, 48), (645, 645, 645)),
        ("nifti1", slice(42, 48), (32767, 32767, 2)),
        ("mgh", slice(4, 16), (1024, 1024, 200)),
        ("mgh", slice(4, 16), (2**30, 2**30, 2**30)),
    ):
        data = mutants.make(kind).files[f"scan.{'nii' if kind == 'nifti1' else 'mgh'}"]
        suffix = "nii.gz" if kind == "nifti1" else "mgz"
        width, order = (2, "<") if kind == "nifti1" else (4, ">")
        numbers = np.array(large, f"{order}i{width}").tobytes()
        promising = data[: dims.start] + numbers + data[dims.stop :]
        made[f"promises-{large[2]}.{suffix}"] = gzip.compress(promising)
        made[f"promises-{large[2]}.{suffix[:3]}"] = promising
        made[f"holds-{large[2]}.{suffix}"] = gzip.compress(data) + more
    for kind, old, new in (
        ("mha-packed", b"12 14 10", b"645 645 645"),
        ("nrrd-packed", b"sizes: 12 14 10", b"sizes: 645 645 645"),
    ):
        ((name, data),) = mutants.make(kind).files.items()
        assert old in data
        made[f"promises{Path(name).suffix}"] = data.replace(old, new)
    nrrd = mutants.make("nrrd-packed")
    made["holds.nrrd"] = nrrd.files["scan.nrrd"] + more
    mha = mutants.make("mha-packed").files["scan.mha"]
    made["holds.mha"] = mha[: mha.index(b"LOCAL\n") + 6] + zlib.compress(bytes(2**28))
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in made] + _dicom_bombs(folder)


def _dicom_bombs(folder: Path) -> list[Path]:
    """Write series of which a file states lengths of gigabytes."""
    scan = mutants.make("dicom")
    data = scan.files["t1/003.dcm"]
    rows = data.index(b"\x28\x00\x10\x00\x02\x00\x00\x00") + 8
    pixels = data.index(b"\xe0\x7f\x10\x00") + 4
    uid = data.index(b"\x08\x00\x18\x00") + 4
    places = []
    for place, new in (
        (rows, b"\xff\xff\x28\x00\x11\x00\x02\x00\x00\x00\xff\xff"),
        (pixels, b"\xf0\xff\xff\xff"),
        (uid, b"\xf0\xff\xff\x7f"),
        (uid, b"\xff\xff\xff\xff"),
    ):
        changed = data[:place] + new + data[place + len(new) :]
        series = folder / f"series-{len(places)}"
        series.mkdir()
        for name, file in (scan.files | {"t1/003.dcm": changed}).items():
            (series / Path(name).name).write_bytes(file)
        places.append(series)
    return places


def test_bombs_are_refused_without_the_memory_that_they_claim(tmp_path):
    whole = write_nifti(tmp_path / "whole.nii.gz", brain_phantom())
    paths = bombs(tmp_path)
    assert sum(file.stat().st_size for file in paths if file.is_file()) < 2**26
    done = subprocess.run(
        [sys.executable, "-c", READ, str(whole), *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    answers = json.loads(done.stdout)
    assert len(answers) == len(paths)
    for path, (said, megabytes) in answers.items():
        assert said.startswith(f"{path}: it") and said.isprintable(), said
        assert megabytes < 16, (path, megabytes)


# --- a folder -----------------------------------------------------------------------------

PLAN = SlicePlan(sequences=("t1",), slices="0:20", size=16)


def good_and_bad(folder: Path, good: int, bad: int) -> None:
    """Write good subjects, and as many damaged scans of all formats as asked for."""
    for number in range(good):
        write_nifti(folder / f"good{number:02d}/t1.nii.gz", brain_phantom(number), "LPS")
    kinds, made, seed = list(KINDS), 0, 0
    while made < bad:
        kind, seed = kinds[seed % len(kinds)], seed + 1
        original = mutants.make(kind)
        damage = mutants.DAMAGES[(5 * seed) % len(mutants.DAMAGES)]
        scan = damage(original, np.random.default_rng(seed)).scan
        # A scan by itself in a folder named t1 needs no sequence in its name.
        place = folder / f"bad{made:02d}"
        for name, data in scan.files.items():
            path = place / "t1" / Path(name).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        try:
            read_volume(place / "t1" if kind == "dicom" else place / "t1" / scan.scan)
            shutil.rmtree(place)
        except DataError:
            made += 1


def parts(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Give the pixels and rows of each good subject, but for the split drawn among all."""
    found = {}
    for path in sorted((folder / "parts").glob("good*.npy")):
        rows = pd.read_csv(path.with_suffix(".csv"), dtype=str).drop(columns="split")
        found[path.stem] = path.read_bytes(), rows.to_csv()
    return found


def test_bad_scans_leave_no_mark_on_the_good_ones_beside_them(tmp_path):
    good_and_bad(tmp_path / "good", 20, 0)
    good_and_bad(tmp_path / "both", 20, 20)
    prepare(tmp_path / "good", tmp_path / "a", PLAN, workers=1)
    made = prepare(tmp_path / "both", tmp_path / "b", PLAN, workers=1)
    assert len(parts(tmp_path / "a")) == 20
    assert parts(tmp_path / "a") == parts(tmp_path / "b")
    skipped = made.about.notes.skipped
    assert [problem.split()[0] for problem in skipped] == [f"bad{n:02d}" for n in range(20)]
    assert all(problem.isprintable() and "t1 was skipped: " in problem for problem in skipped)


def test_the_command_line_lists_bad_scans_and_ends_well(tmp_path):
    good_and_bad(tmp_path / "both", 5, 20)
    words = "prepare both out --sequence t1 --slices 0:20 --size 16 --workers 2"
    done = subprocess.run(
        [sys.executable, "-m", "mrgantry", *words.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert sum(line.startswith("Skipped: bad") for line in lines) == 12
    assert "Skipped: 8 more, see out/about.json." in lines
    about = json.loads((tmp_path / "out/about.json").read_text(encoding="utf-8"))
    assert len(about["notes"]["skipped"]) == 20
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
    assert lines[-1].startswith("Next: mrgantry train") and "(5)" not in lines[-1]
    assert len(parts(tmp_path / "out")) == 5
