import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from conftest import blobs, write_slices
from mrgantry.common.errors import DataError
from mrgantry.common.score import Score, write_scores
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation.brain.features import brain_networks
from mrgantry.evaluation.differences import differences, write_differences
from mrgantry.evaluation.explained import document, features_text
from mrgantry.evaluation.extractors.features import (
    fit_directions,
    principal_components,
    random_network,
)
from mrgantry.evaluation.measures.listed import BY_NAME, EXPLANATIONS, all_measures, all_tests
from mrgantry.evaluation.measures.measure import QUESTIONS
from mrgantry.evaluation.measures.spectrum import frequencies
from mrgantry.pages import report
from mrgantry.pages.drawing import styled
from mrgantry.pages.scores import map_styles, told_apart

# Name, features, what is better, and the floor with its interval: as real at 0.5.
KINDS = [
    ("relative_fd", "pca64", "lower"),
    ("frechet_distance", "pca64", "lower"),
    *((name, "random-net", "higher") for name in ("precision", "density", "recall", "coverage")),
    ("ms_ssim_pairs", "pixels", "real"),
    ("c2st_cnn_auc", "pixels", "half"),
    ("copying_ratio", "pixels", "enough"),
    ("something_new", "another-net", "lower"),
]


class Page(HTMLParser):
    """What a page links to, and the text of its tables' cells."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.open, self.cells = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if tag == "a" else []
        self.loads += [found["src"]] if "src" in found else []
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_data(self, data):
        if self.cells:
            self.cells[-1] = " ".join(f"{self.cells[-1]} {data}".split())


def score(kind, synthetic, value):
    name, features, better = kind
    spread = np.linspace(-0.01, 0.01, 5)
    return Score(
        name, features, synthetic, better, value, value - 0.01, value + 0.01, 0.5, 0.4, 0.6,
        20, 20, f"method of {name}; made up", 0, "real", synthetic, tuple(value + spread),
    )  # fmt: skip


def write_folder(folder: Path, sets: dict, groups=(), missing="") -> Path:
    """Write a folder of scores: each set has the same value in all of them."""
    folder.mkdir()
    scores = [
        score(kind, name, np.nan if (kind[0], name) == ("ms_ssim_pairs", missing) else value)
        for name, value in sets.items()
        for kind in KINDS
    ]
    write_scores(folder, scores)
    write_differences(folder, differences(scores))
    identity = {"folder": "x", "fingerprint": "f", "images": 40, "subjects": 8, "source": "real"}
    facts = {
        "command": "mrgantry evaluate made up",
        "seed": 0,
        "real": identity | {"name": "real", "split": "test", "only": []},
        "synthetic": [identity | {"name": name} for name in sets],
        "features": [],
        "versions": {},
        "extractors": {"pca64": "p", "random-net": "r", "another-net": "a"},
    }
    (folder / "evaluation.json").write_text(json.dumps(facts))
    images, k = blobs(8), len(frequencies(16))
    pictures = {"real/spectrum": np.sort(np.random.default_rng(0).normal(size=(3, k)), axis=0)}
    for name in sets:
        pictures |= {
            f"{name}/suspicious": images,
            f"{name}/suspicious_ids": np.array([f"{name}_{i}" for i in range(8)]),
            f"{name}/neighbours": images,
            f"{name}/neighbour_ids": np.array([f"p{i}<x>" for i in range(8)]),
            f"{name}/ratios": np.linspace(0.1, 0.9, 8),
            f"{name}/spectrum": pictures["real/spectrum"] + 1,
        }
    pictures |= {f"map/{name}": np.random.default_rng(1).normal(size=(9, 2)) for name in groups}
    np.savez(folder / "pictures.npz", **pictures)
    return folder


def page_of(tmp_path, *folders):
    report(folders, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    return text, Page(text)


SETS = {"low": 0.1, "same": 0.5, "high": 0.9}
GROUPS = ["real, training", "real, held out", *SETS]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """The page of three sets with a map; of one of them a score is no number."""
    folder = tmp_path_factory.mktemp("three")
    return page_of(folder, write_folder(folder / "scores", SETS, GROUPS, missing="low"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The page of one set without a map."""
    folder = tmp_path_factory.mktemp("alone")
    return page_of(folder, write_folder(folder / "scores", {"one": 0.3}))


def test_every_score_links_to_its_explanation(three, alone):
    for text, page in (three, alone):
        assert all(link.startswith("#") for link in page.links)
        assert {link[1:] for link in page.links} <= set(page.ids)
        places = [one for one in page.ids if one == "reading" or one.startswith("score-")]
        assert len(set(places)) == len(places) == len(KINDS)  # one for what is unknown
        for name, _, _ in KINDS[:-1]:
            assert f"#{BY_NAME[name].anchor}" in page.links
            assert BY_NAME[name].word in text and f"method of {name}" in text
        assert "something new" in text and "#reading" in page.links  # nobody has explained it


def test_nothing_is_loaded_from_elsewhere(three):
    text, page = three
    assert all(source.startswith("data:image/png;base64,") for source in page.loads)
    assert "@import" not in text and "url(" not in text.replace("url(#", "")
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", text)


def test_pictures_are_drawn_as_far_as_there_are_any(three, alone):
    charts = 5 + 2 + 2  # questions, one of them unknown; fidelity; spectra
    assert three[0].count("<svg") == charts + 1 + 3 and alone[0].count("<svg") == charts
    assert "Distances between clusters" in three[0] and "t-SNE" not in alone[0]
    assert "larger than chance" in three[0] and "larger than chance</h2>" not in alone[0]
    for name in GROUPS:
        assert re.search(rf"<span><b style=\"color: #\w+\">.</b> {name}</span>", three[0])


def test_verdicts_are_right(three):
    _, page = three
    rows = {
        "Relative FD": ("+ better", "= as real", "− worse"),
        "Coverage": ("− worse", "= as real", "+ better"),
        "Copying, median": ("− worse", "= as real", "+ farther"),
        "MS-SSIM of pairs": ("? unknown", "= as real", "− worse"),
        "C2ST, CNN: area": ("= as real", "= as real", "− worse"),
    }
    for title, words in rows.items():
        at = next(i for i, cell in enumerate(page.cells) if cell.startswith(f"{title} "))
        found = page.cells[at + 2 : at + 6]
        for word, cell in zip(words, found, strict=False):
            assert f" {word} " in cell
        assert found[1] == "0.500 = as real 0.490 to 0.510" and found[3] == "0.500 0.400 to 0.600"
    totals = page.cells[page.cells.index("All scores") + 2 :][:3]
    assert totals == [
        "− 5 worse = 1 as real + 2 better ? 1 unknown",
        "= 9 as real",
        "− 4 worse + 3 better + 1 denser + 1 farther",
    ]


def test_pairs_stand_with_ratio_and_ids(three):
    plain = three[0].replace("<wbr>", "")
    assert "<b>0.100</b><br>low_0<br>p0&lt;x&gt;" in plain and "<b>0.900</b><br>low_7" in plain
    assert plain.count("Synthetic image high_") == 8


def test_differences_name_the_nearer_set_and_what_chance_gives():
    scores = [
        score(KINDS[0], name, value) for name, value in {"a": 0.2, "b": 0.4, "c": 0.4}.items()
    ]
    told = told_apart(differences(scores), ["a", "b", "c"])
    assert (told["pairs"], told["larger"], told["expected"]) == (3, 2, "0.15")
    (row,) = told["rows"]
    assert [[one["than"] for one in cell] for cell in row["cells"]] == [["b", "c"], [], []]
    assert row["cells"][0][0]["by"] == "0.200"
    same = [score(KINDS[0], name, 0.4) for name in "ab"]
    told = told_apart(differences(same), ["a", "b"])
    assert told["rows"] == [] and told["unclear"] == ["Relative FD (pca64)"]


def test_a_map_of_many_groups_tells_them_apart():
    sets = [f"set{i}" for i in range(6)]
    groups = ["real, training", "real, held out", *sets]
    of = map_styles(groups, styled(sets))
    assert len({one.colour for one in of.values()}) == len(groups)
    by_value = [f"{name}, tumour {value}" for name in groups for value in ("no", "yes")]
    of = map_styles(by_value, styled(sets))
    assert len({(one.colour, one.mark) for one in of.values()}) == len(by_value)
    assert of["set1, tumour no"].colour == of["set1, tumour yes"].colour


def write_walk(folder: Path, complete=True) -> Path:
    folder.mkdir()
    table = {"frame": range(4), "position": [0, 1 / 3, 2 / 3, 1], "change": [np.nan, 0.1, 0.1, 0.4]}
    pd.DataFrame(table).to_csv(folder / "walk.csv", index=False)
    Image.new("L", (64, 16)).save(folder / "strip.png")
    facts = {
        "complete": complete,
        "command": "mrgantry walk made up",
        "choices": {"seeds": [3, 5], "method": "linear"},
        "source": "simulated",
        "labels_of_all_images": {"tumour": "yes"},
        "images": 4,
        "median_change": 0.1,
        "largest_change": 0.4,
        "largest_over_median": 4.0,
    }
    (folder / "walk.json").write_text(json.dumps(facts))
    return folder


def write_projection(folder: Path, overfitting) -> Path:
    folder.mkdir()
    Image.new("L", (64, 16)).save(folder / "project.png")
    median = {"split": "train", "slices": 4, "subjects": 2, "rmse": 0.2, "correlation": 0.9}
    facts = {
        "complete": True,
        "command": "mrgantry project made up",
        "source": "real",
        "medians": [median],
        "overfitting": overfitting,
        "verdict": "A sign of overfitting, made up.",
    }
    (folder / "project.json").write_text(json.dumps(facts))
    return folder


def test_walks_and_projections_are_shown(tmp_path):
    found = {"ratio": 1.5, "low": 1.2, "high": 1.8, "p": 0.01}
    folders = [
        write_walk(tmp_path / "walked"),
        write_projection(tmp_path / "projected", found),
        write_projection(tmp_path / "alone", None),
    ]
    text, page = page_of(tmp_path, *folders)
    assert "seeds 3, 5" in text and "tumour yes" in text and "<b>4.00 times</b>" in text
    assert text.count("A sign of overfitting, made up.") == 2
    assert "1.50 (1.20 to 1.80), p = 0.01" in page.cells
    assert "Simulated data." in text  # the walk stems from simulated scans
    assert "mrgantry walk made up" in text and "mrgantry project made up" in text
    assert "What the scores mean" not in text
    with pytest.raises(DataError, match="is not finished"):
        report([write_walk(tmp_path / "begun", complete=False)], tmp_path / "report.html")


def test_what_was_selected_is_printed_whatever_it_is(tmp_path):
    made = write_slices(tmp_path / "made", blobs(8), ["a"] * 8, [""] * 8, synthetic=True)
    about = json.loads((made.folder / "about.json").read_text())
    rule = {"nearest": {"below": 0.5, "to": "train"}}
    chosen = {"rule": rule, "kept": 8, "discarded": [f"id{i}" for i in range(30)], "by_hand": False}
    about["notes"] = {"selected": chosen}
    (made.folder / "about.json").write_text(json.dumps(about))
    _, page = page_of(tmp_path, SliceSet.open(made.folder).folder)
    cells = dict(zip(page.cells[::2], page.cells[1::2], strict=True))
    assert cells["rule"] == "nearest: below: 0.5; to: train" and cells["kept"] == "8"
    assert cells["discarded"].startswith("30: id0, id1") and cells["by hand"].startswith("no")


def test_all_measures_are_explained_and_the_document_is_in_step():
    images = blobs(40)
    directions = fit_directions(images, 8)
    extractors = [principal_components(directions), random_network(images)]
    extractors += brain_networks(images)
    for measure in (*all_measures(directions, extractors, 16), *all_tests(extractors)):
        assert measure.features == "pixels" or features_text(measure.features)
        for kind in measure.kinds:
            assert kind.name in BY_NAME
    assert {explanation.question for explanation in EXPLANATIONS} == set(QUESTIONS)
    path = Path(__file__).parents[2] / "docs/MEASURES.md"
    again = "python -m mrgantry.evaluation.explained > docs/MEASURES.md"
    assert path.read_text() == document() + "\n", f"not in step; run {again}"
