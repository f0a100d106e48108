import re

import numpy as np
import pytest

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError
from mrgantry.common.picture import grid, to_grey
from mrgantry.evaluate import evaluate
from mrgantry.gan import Recipe, sample, train
from mrgantry.gan.losses import Original
from mrgantry.gan.networks import UpConv
from mrgantry.gan.recipe import Adam
from mrgantry.report import report
from mrgantry.report.page import number

RECIPE = Recipe(
    name="small",
    size=32,
    network=UpConv(width=16, critic_width=16, latent=8),
    loss=Original(),
    optimiser=Adam(),
    images=160,
    batch=16,
    ema=100,
)


def test_one_page_tells_everything(tmp_path, few_draws):
    subjects = [f"s{i // 10:02d}" for i in range(160)]
    splits = ["train" if i < 80 else "test" for i in range(160)]
    real = write_slices(tmp_path / "slices", blobs(160, 32), subjects, splits)
    train(real.folder, tmp_path / "run", RECIPE)
    sample(tmp_path / "run", tmp_path / "synthetic", 40)
    evaluate(real.folder, tmp_path / "scores", [tmp_path / "synthetic"])
    page = tmp_path / "report.html"
    report(page, [tmp_path / name for name in ("slices", "run", "synthetic", "scores")])
    text = page.read_text()
    # Self-contained: nothing is loaded from anywhere.
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", text)
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
    for word in ("Relative FD", "C2ST, CNN", "95 % interval", "copy training images"):
        assert word in text
    assert f"mrgantry train {tmp_path}/slices {tmp_path}/run --recipe small" in text
    assert real.about.fingerprint in text
    assert "Simulated data." not in text
    assert text.count("<svg") == 3
    report(
        tmp_path / "again.html", [tmp_path / n for n in ("scores", "run", "synthetic", "slices")]
    )
    assert (tmp_path / "again.html").read_text() == text  # in any order, the same page


def test_a_simulated_origin_stands_at_the_top(tmp_path, monkeypatch):
    real = write_slices(tmp_path / "slices", blobs(20, 32), ["a"] * 20, ["train"] * 20)
    about = real.folder / "about.json"
    about.write_text(about.read_text().replace('"source": "real"', '"source": "simulated"'))
    report(tmp_path / "report.html", [real.folder])
    assert "Simulated data." in (tmp_path / "report.html").read_text()


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds nothing to report"):
        report(tmp_path / "report.html", [tmp_path])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0"), (0.12345, "0.123"), (1.0, "1.00"), (36.7, "36.7"), (1234.5, "1,234")],
)
def test_numbers_have_three_digits(value, text):
    assert number(value) == text


def test_a_grid_shows_images_in_rows():
    images = np.full((3, 1, 2, 2), -1, np.float16)
    images[1] = 1
    assert grid(images, 2).tolist() == [
        [0, 0, 255, 255],
        [0, 0, 255, 255],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    assert to_grey(np.array([-1.0, 0.0, 1.0])).tolist() == [0, 128, 255]
