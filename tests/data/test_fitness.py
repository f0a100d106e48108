"""What may stand beside what."""

import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError
from mrgantry.data.fitness import check_alike, check_unseen, mismatches, people_behind

PEOPLE = [f"p{i // 4}" for i in range(16)]
SPLITS = ["train"] * 8 + ["test"] * 8


@pytest.fixture
def real(tmp_path):
    return write_slices(tmp_path / "real", blobs(16), PEOPLE, SPLITS)


def made(folder, size=16, **columns):
    return write_slices(folder, blobs(12, size), [""] * 12, [""] * 12, synthetic=True, **columns)


def test_images_of_one_kind_fit(real, tmp_path):
    check_alike(real, made(tmp_path / "made"))


def test_another_size_is_refused(real, tmp_path):
    with pytest.raises(DataError, match=r"1 channel\(s\) of 8 pixels, .* 1 of 16; they must be al"):
        check_alike(real, made(tmp_path / "made", 8))


@pytest.mark.parametrize(("column", "value"), [("plane", "coronal"), ("sequence", "t2")])
def test_another_plane_or_sequence_is_refused(real, tmp_path, column, value):
    with pytest.raises(DataError, match=f"has the {column}s {value}"):
        check_alike(real, made(tmp_path / "made", columns={column: value}))


def test_people_behind_images_are_those_of_the_generator_and_of_the_rows(real):
    assert people_behind(real) == {"p0", "p1", "p2", "p3"}


def test_who_was_seen_may_not_judge(real, tmp_path):
    synthetic = made(tmp_path / "made")
    check_unseen({"p0", "p1"}, real, synthetic, "it shows nothing")  # of the training split
    with pytest.raises(DataError, match="has seen p2 of the test split .*2 such people"):
        check_unseen({"p1", "p3", "p2"}, real, synthetic, "it shows nothing")


def test_another_mixture_is_named(tmp_path):
    tumours = ["yes", "no"] * 8
    real = write_slices(tmp_path / "real", blobs(16), PEOPLE, SPLITS, tumour=tumours)
    (said,) = mismatches(real, made(tmp_path / "made", tumour=["yes"] * 12))
    assert "100% of its images have tumour=yes, of the real ones 50%" in said
