import base64
import io
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError
from mrgantry.common.picture import grid, to_grey
from mrgantry.data.notes import Notes
from mrgantry.data.preview import COLOURS
from mrgantry.evaluation import evaluate
from mrgantry.evaluation.measures import classifiers
from mrgantry.evaluation.measures.listed import EXPLANATIONS
from mrgantry.generate import GanRecipe, project, sample, train, walk
from mrgantry.generate.losses import Original
from mrgantry.generate.networks import UpConv
from mrgantry.generate.recipe import Adam
from mrgantry.pages import report
from mrgantry.pages.page import gallery
from mrgantry.pages.rendering import number

reference = sys.modules["mrgantry.evaluation.reference"]
RECIPE = GanRecipe(
    name="small",
    size=32,
    network=UpConv(width=16, critic_width=16, latent=8),
    loss=Original(),
    optimiser=Adam(),
    images=160,
    batch=16,
    ema=100,
)


def test_one_page_tells_everything(tmp_path, monkeypatch):
    everything = reference.all_measures
    monkeypatch.setattr(
        reference,
        "all_measures",
        lambda *a, **k: [replace(one, draws=1) for one in everything(*a, **k)],
    )
    monkeypatch.setattr(classifiers, "MOST_STEPS", 5)
    subjects = [f"s{i // 10:02d}" for i in range(160)]
    splits = ["train" if i < 80 else "test" for i in range(160)]
    real = write_slices(tmp_path / "slices", blobs(160, 32), subjects, splits)
    train(real.folder, tmp_path / "run", RECIPE)
    sample(tmp_path / "run", tmp_path / "synthetic", 40)
    evaluate(real.folder, tmp_path / "scores", [tmp_path / "synthetic"])
    walk(tmp_path / "run", tmp_path / "walked", steps=5)
    project(tmp_path / "run", real.folder, tmp_path / "projected", count=4, steps=2, restarts=1)
    page = tmp_path / "report.html"
    names = ["slices", "run", "synthetic", "scores", "walked", "projected"]
    report([tmp_path / name for name in names], page)
    text = page.read_text()
    # Self-contained: nothing is loaded from anywhere.
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", text)
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
    for word in ("Relative FD", "C2ST, CNN", "95 % interval", "Nearest to training images"):
        assert word in text
    for verb in (f"train {tmp_path}/slices {tmp_path}/run --recipe small", "walk", "project"):
        assert f"mrgantry {verb}" in text
    assert real.about.fingerprint in text
    assert "Simulated data." not in text
    # These images have no label maps, and are of no heads.
    explained = [item for item in EXPLANATIONS if item.question not in {"maps", "heads"}]
    assert len(set(re.findall(r'href="#(score-[^"]+)"', text))) == len(explained)
    report([tmp_path / name for name in reversed(names)], tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == text  # in any order, the same page


def test_a_simulated_origin_stands_at_the_top(tmp_path, monkeypatch):
    real = write_slices(tmp_path / "slices", blobs(20, 32), ["a"] * 20, ["train"] * 20)
    about = real.folder / "about.json"
    about.write_text(about.read_text().replace('"source": "real"', '"source": "simulated"'))
    report([real.folder], tmp_path / "report.html")
    assert "Simulated data." in (tmp_path / "report.html").read_text()


def test_what_is_known_of_a_set_stands_on_its_page_once(tmp_path):
    names = [f"p{number // 4}" for number in range(20)]
    real = write_slices(tmp_path / "slices", blobs(20, 32), names, ["train"] * 20)
    about = json.loads((real.folder / "about.json").read_text())
    about["choices"] = {"size": 32, "seed": 0, "where": [], "table": None, "vouch_sides": False}
    about["notes"] = {
        "assumed": ["Folders of classes are labels."],
        "range": "8-bit pictures: 0 to 255",
        "repeats": [],
        "repeats_settled": ["p3 was left out."],
    }
    (real.folder / "about.json").write_text(json.dumps(about))
    Image.new("L", (8, 8)).save(real.folder / "repeats.png")
    report([real.folder], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    for words in (
        "Folders of classes are labels.",
        "p3 was left out.",
        "8-bit pictures: 0 to 255.",
    ):
        assert text.count(words) == 1
    assert "Who looks like one person" in text and "Brains were found" not in text
    assert "vouch_sides" not in text and "<th>where" not in text and "<th>seed" in text


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds nothing to report"):
        report([tmp_path], tmp_path / "report.html")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (0.12345, "0.123"),
        (1.0, "1.00"),
        (0.9999, "1.00"),
        (-0.00123, "-0.00123"),
        (36.7, "36.7"),
        (1234.5, "1,234"),
    ],
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


def test_label_maps_are_outlined_and_named(tmp_path):
    images = blobs(12, 32)
    maps = (images[:, 0] > 0).astype(np.uint8)
    subjects = [f"s{number // 3}" for number in range(12)]
    real = write_slices(tmp_path / "slices", images, subjects, ["test"] * 12, maps=maps)
    report([real.folder], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "outlined are core (orange), oedema (blue)" in text
    address = re.search(r'src="data:image/png;base64,([^"]+)"', text)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(address[1]))).convert("RGB"))
    assert (pixels == COLOURS["orange"]).all(-1).sum() > 100


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ({}, "drawn by the generator, trained on real scans"),
        (
            {"refined": {"strength": 0.2, "chosen": True}},
            "refined towards real scans to strength 0.2, as far as anatomy stays",
        ),
        (
            {"refined": {"strength": 1.0, "chosen": False}},
            "refined towards real scans to strength 1, however anatomy changes",
        ),
        (
            {"near": {"slices": 5, "nearer_than_strangers": 3}},
            "near 5 slices; 3 are nearer to theirs than anybody else's slice is",
        ),
    ],
)
def test_captions_say_how_images_were_made(slices, notes, words):
    about = slices.about.model_copy(update={"synthetic": True, "notes": Notes(**notes)})
    caption = gallery(replace(slices, about=about))["caption"]
    assert caption.startswith("48 images") and words in caption
