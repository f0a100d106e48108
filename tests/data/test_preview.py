"""A set of slices can be looked at once it is made, and says how many slices show a tumour."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from conftest import blobs, tumour_phantom, write_nifti, write_slices
from mrgantry.cli import app
from mrgantry.data.preview import draw_preview, tumour_counts


def test_tumours_are_counted(tmp_path):
    made = write_slices(tmp_path / "set", blobs(5), ["a"] * 5, ["train"] * 5)
    made.table["tumour"] = ["no", "yes", "unclear", "no", "unknown"]
    assert tumour_counts(made.table) == "1 yes, 1 unclear, 2 no, 1 not known"
    made.table["tumour"] = "unknown"
    assert tumour_counts(made.table) == ""


@pytest.mark.parametrize(("count", "shape"), [(5, (16, 80)), (40, (64, 128))])
def test_some_images_of_all_are_shown(tmp_path, count, shape):
    made = write_slices(tmp_path / "set", blobs(count), ["a"] * count, ["train"] * count)
    draw_preview(made)
    with Image.open(tmp_path / "set/preview.png") as picture:
        shown = np.asarray(picture)
    assert shown.shape == shape
    first = np.rint((made.images[0, 0].astype(np.float32) + 1) * 127.5)
    last = np.rint((made.images[-1, 0].astype(np.float32) + 1) * 127.5)
    assert np.array_equal(shown[:16, :16], first) and np.array_equal(shown[-16:, -16:], last)


@pytest.mark.parametrize("plane", ["axial", "oblique"])
def test_prepare_ends_with_a_picture_and_counts(cohort, tmp_path, plane):
    name = "BraTS20_Training_003"
    write_nifti(cohort / name / f"{name}_seg.nii.gz", tumour_phantom(), "LPS")
    words = ["prepare", cohort, tmp_path / "out", "--sequence", "t1", "--workers", "1"]
    words += ["--plane", plane, "--size", "24", "--field-mm", "28"]
    said = CliRunner().invoke(app, list(map(str, words))).output
    assert f"See in {tmp_path / 'out/preview.png'} whether they stand upright" in said
    assert "Slices with a tumour: " in said and " yes" in said
    with Image.open(tmp_path / "out/preview.png") as shown:
        assert shown.width == 8 * 24 and shown.height in (24, 2 * 24, 4 * 24)
