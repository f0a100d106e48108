"""What bad input gets: every kind that the documents name, and the sentence on it."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from conftest import brain_phantom, write_nifti
from mrgantry.common.errors import DataError
from mrgantry.data import SlicePlan, prepare

PLAN = SlicePlan(sequences=("t1", "flair"), combine="channels", slices="0:20", size=16)
T1 = "t1.nii.gz"


def save(path: Path, voxels: np.ndarray, affine: np.ndarray | None = None) -> None:
    nib.save(nib.Nifti1Image(voxels, np.eye(4) if affine is None else affine), path)


def truncated(place: Path) -> None:
    (place / T1).write_bytes((place / T1).read_bytes()[:-4000])


def checksum(place: Path) -> None:
    data = bytearray((place / T1).read_bytes())
    data[-6] ^= 1
    (place / T1).write_bytes(data)


def dimensions(place: Path) -> None:
    image = nib.load(place / T1)
    data = bytearray(image.to_bytes())
    data[42:48] = np.array([24, 28, 21], "<i2").tobytes()
    import gzip

    (place / T1).write_bytes(gzip.compress(data))


def voxel(value: float) -> Callable[[Path], None]:
    def put(place: Path) -> None:
        voxels = brain_phantom(1)
        voxels[3, 4, 5] = value
        save(place / T1, voxels)

    return put


def contradicting(place: Path) -> None:
    image = nib.load(place / T1)
    image.header.set_qform(np.diag([1, 1, 1, 1]), 1)
    image.header.set_sform(np.diag([-1, 1, 1, 1]), 1)
    nib.save(nib.Nifti1Image(image.get_fdata(), None, image.header), place / T1)


def mask(place: Path) -> None:
    save(place / "mask.nii.gz", np.zeros((24, 28, 20), np.uint8))


RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (truncated, r"t1\.nii\.gz: it is truncated or damaged, .*; copy it again\."),
        (checksum, r"t1\.nii\.gz: it is truncated or damaged, .*CRC check failed"),
        (dimensions, r"header promises 56,\d+ bytes, it holds 54,\d+\); copy it again"),
        (voxel(np.nan), r"t1\.nii\.gz: it holds 1 voxels that are NaN or infinite"),
        (voxel(-np.inf), r"t1\.nii\.gz: it holds 1 voxels that are NaN or infinite"),
        (lambda p: (p / "flair.nii.gz").unlink(), r"it has no flair, only t1\."),
        (
            lambda p: save(p / "flair.nii.gz", brain_phantom(1), np.diag([1, 1, 2, 1])),
            "its flair lies on another grid than its t1.* add --resample-to t1",
        ),
        (mask, "its brain mask is empty"),
        (
            lambda p: save(p / T1, np.stack([brain_phantom(1)] * 2, -1)),
            "has the shape 24 x 28 x 20 x 2; a scan has three axes",
        ),
        (lambda p: save(p / T1, brain_phantom(1)[:, :, 0]), "24 x 28; a scan has three axes"),
        (lambda p: save(p / T1, np.zeros((24, 28, 20), RGB)), r"holds colours \(RGB\)"),
        (
            lambda p: save(p / T1, brain_phantom(1).astype(np.complex64)),
            "its voxels are of the type complex64; a scan has one intensity a voxel",
        ),
        (contradicting, r"contradict each other \(sform LAS, qform RAS\); left and right cannot"),
        (lambda p: (p / T1).write_bytes(b""), r"t1\.nii\.gz: it is empty; copy it again"),
    ],
)
def test_a_bad_scan_is_skipped_with_its_reason(tmp_path, damage, sentence):
    for name in ("anna", "bert", "cleo"):
        for number, word in enumerate(("t1", "flair")):
            write_nifti(tmp_path / f"scans/{name}/{word}.nii.gz", brain_phantom(number))
    damage(tmp_path / "scans/bert")
    made = prepare(tmp_path / "scans", tmp_path / "out", PLAN, workers=1)
    assert set(made.table["subject"]) == {"anna", "cleo"}
    (problem,) = made.about.notes.skipped
    assert problem.startswith("bert t1+flair was skipped: ") and problem.isprintable()
    assert re.search(sentence, problem), problem
    with pytest.raises(DataError, match="bert t1\\+flair was skipped"):
        prepare(tmp_path / "scans", tmp_path / "strict", PLAN, strict=True, workers=1)


def command(folder: Path, *more: str, room: int | None = None) -> subprocess.CompletedProcess[str]:
    """Prepare on the command line, on a disk on which no file may exceed some bytes.

    To the process, a limit to its files is a full disk: a write gives an error, half done.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))

    words = ["prepare", "scans", "out", "--sequence", "t1", "--slices", "0:20", "--size", "64"]
    return subprocess.run(
        [sys.executable, "-m", "mrgantry", *words, *more],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit if room is not None else None,
    )


def people(folder: Path, count: int = 4) -> None:
    for number in range(count):
        write_nifti(folder / f"scans/p{number}/t1.nii.gz", brain_phantom(number))


@pytest.mark.parametrize(
    ("workers", "room"),
    [("1", 300), ("2", 30_000)],  # not even for about.json; not for the images
)
def test_a_full_disk_is_one_sentence_and_room_mends_it(tmp_path, workers, room):
    people(tmp_path)
    done = command(tmp_path, "--workers", workers, room=room)
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.startswith("mrgantry: ")]
    assert len(said) == 1, done.stderr
    assert re.search("cannot be written: (File too large|the disk may be full)", said[0])
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").rglob("*.npy")) == []
    assert not (tmp_path / "out/slices.csv").exists()
    done = command(tmp_path, "--workers", workers)
    assert done.returncode == 0, done.stderr
    made = prepare(
        tmp_path / "scans",
        tmp_path / "never-full",
        SlicePlan(sequences=("t1",), slices="0:20", size=64),
        workers=1,
    )
    there = (tmp_path / "out").rglob("*.npy")
    assert {path.name: path.read_bytes() for path in there} == {
        path.name: path.read_bytes() for path in made.folder.rglob("*.npy")
    }
    assert len(list((tmp_path / "out").rglob("*.npy"))) == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path):
    people(tmp_path)
    (tmp_path / "out").mkdir(mode=0o500)
    done = command(tmp_path, "--workers", "1")
    assert done.returncode == 1
    assert done.stderr.startswith("mrgantry: ") and "Permission denied" in done.stderr


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path):
    people(tmp_path)
    (tmp_path / "out").write_text("mine")
    done = command(tmp_path, "--workers", "1")
    assert done.returncode == 1
    assert done.stderr == "mrgantry: out is a file; name a folder for a set of slices.\n"
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: None, "is not a folder; give the folder that holds the scans"),
        (lambda folder: folder.mkdir(), "holds no scan whose name tells its sequence"),
        (
            lambda folder: [
                write_nifti(folder / f"{place}/anna/t1.nii.gz", brain_phantom())
                for place in ("site1", "site2")
            ],
            "Subject anna stands twice: .*site1.* and .*site2.*Remove one",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path, make, sentence):
    make(tmp_path / "scans")
    done = command(tmp_path)
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert len(done.stderr.splitlines()) == 1 and re.search(sentence, done.stderr)


PLAIN = SlicePlan(sequences=("t1",), slices="0:20", size=16)


def replaced(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def put(scans: Path) -> None:
        (scans / "p1/t1.nii.gz").unlink()
        make(scans / "p1/t1.nii.gz")

    return put


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        # As in a data set of DataLad whose files were not fetched.
        (replaced(lambda path: path.symlink_to("gone")), "it is a link to nothing; fetch its data"),
        (replaced(os.mkfifo), "is neither a file nor a folder"),
    ],
)
def test_what_is_no_file_is_skipped(tmp_path, make, sentence):
    people(tmp_path, 3)
    make(tmp_path / "scans")
    made = prepare(tmp_path / "scans", tmp_path / "out", PLAIN, workers=1)
    assert set(made.table["subject"]) == {"p0", "p2"}
    (problem,) = made.about.notes.skipped
    assert problem.startswith("p1 t1 was skipped: ") and sentence in problem


def pipes(scans: Path) -> None:
    (scans / "p9").mkdir()
    os.mkfifo(scans / "p9/pipe")
    os.mkfifo(scans / "p9/pipe.dcm")


def files_for_folders(scans: Path) -> None:
    write_nifti(scans / "sub-1/anat/sub-1_T1w.nii.gz", brain_phantom())
    (scans / "sub-2").mkdir()
    (scans / "sub-2/anat").write_text("no folder")
    (scans / "derivatives/x/sub-1").mkdir(parents=True)
    (scans / "derivatives/x/sub-1/anat").write_text("no folder")


def loop(scans: Path) -> None:
    (scans / "p1/loop").symlink_to("..")
    (scans / "p1/self").symlink_to("self")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [pipes, files_for_folders, loop])
def test_strange_things_in_a_folder_do_no_harm(tmp_path, make):
    people(tmp_path, 3)
    make(tmp_path / "scans")
    made = prepare(tmp_path / "scans", tmp_path / "out", PLAIN, workers=1)
    assert made.about.notes.skipped == ()
    assert made.table["subject"].nunique() == (1 if make is files_for_folders else 3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda scans: (scans / "p1").rename(scans / os.fsdecode(b"p\xff\xfe")),
            r"The name '.*p\\udcff\\udcfe/t1\.nii\.gz' is not plain text; rename",
        ),
        (lambda scans: (scans / "p1").rename(scans / "p\n1"), r"p\\n1.* is not plain text"),
        (
            lambda scans: (scans / "cohort.csv").write_text("subject,grade\np0,HGG\np1,a,b,c\n"),
            r"cohort\.csv is not a readable table: .*Expected 2 fields",
        ),
    ],
)
def test_what_spoils_a_whole_folder_is_said_in_a_sentence(tmp_path, make, sentence):
    people(tmp_path, 3)
    make(tmp_path / "scans")
    with pytest.raises(DataError, match=sentence) as caught:
        prepare(tmp_path / "scans", tmp_path / "out", PLAIN, workers=1)
    assert str(caught.value).isprintable()
