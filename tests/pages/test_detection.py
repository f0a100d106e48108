import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from mrgantry.common.files import write_json
from mrgantry.common.statistics import holm
from mrgantry.detection.classical import Classical
from mrgantry.detection.classifier import ClassifierTraining
from mrgantry.detection.findings import Part
from mrgantry.detection.gather import gather_detection
from mrgantry.detection.options import USUAL, cells_of
from mrgantry.detection.sets import open_real, open_synthetic
from mrgantry.pages import report, write_detection
from mrgantry.pages.experiment import answer, missable
from mrgantry.papers import printed_detection
from squares import as_synthetic, heads, write

CHOICES = {
    "training": ClassifierTraining().model_dump(),
    "classical": Classical().model_dump(),
    "real_share": 0.5,
    "only": (),
    "precision": "fp32",
}


@pytest.fixture
def sets(tmp_path):
    real = open_real(write(tmp_path / "real", 24, 4, (6, 4, 14)).folder)
    as_synthetic(tmp_path / "made", *heads(3, 4), ["p000", "p001", "p002", "p003"])
    return real, open_synthetic([tmp_path / "made"], real)


def found_with(sets, skill, seeds=3, shares=(1,), ratios=(1,), conditions=USUAL):
    """An experiment whose classifiers have these skills, and whose answers are drawn."""
    real, synthetic = sets
    label = real.truth.label
    parts = []
    for cell in cells_of(conditions, seeds, shares, ratios):
        random = np.random.default_rng(cell.seed)
        score = (2 * label - 1) * skill[cell.condition] + random.normal(0, 1, len(label))
        part = Part(
            cell=cell, subjects=5, images=20, epochs=3, best=2, seen=60, seconds=60.0,
            losses=(0.5, 0.4, 0.5), threshold=0.4, probability=tuple(norm.cdf(score).tolist()),
        )  # fmt: skip
        parts.append(part)
    return gather_detection(real, synthetic, parts, "mrgantry detect real out", "CPU", CHOICES)


EQUAL = dict.fromkeys((*USUAL, "synthetic alone"), 1.0)


def test_the_page_begins_with_the_answer(sets, tmp_path):
    pd.DataFrame(
        {"group": ["real, tumour", "synthetic, no tumour"] * 3, "x": range(6), "y": range(6)}
    ).to_csv(tmp_path / "map.csv", index=False)
    found = found_with(
        sets, EQUAL | {"synthetic": 1.1, "classical+synthetic": 0.95}, 3, (0.5, 1), (0.5, 1)
    )
    said = write_detection(tmp_path, found, printed_detection(["han2018-pggan-64"]))
    assert said.startswith(
        "Synthetic images beside classical ones were not shown to help or hurt: "
    )
    assert re.search(r"accuracy [+−]\d\.\d points, 95 % interval −\d+\.\d to \+\d+\.\d$", said)
    page = (tmp_path / "detection.html").read_text()
    assert page.index(said) < page.index("<p>")
    # Self-contained: nothing is loaded from anywhere.
    assert not re.search(r"(src|href)=[\"'](?!data:|#)", page)
    assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", page)
    for words in (
        "Missed under every condition",
        "t-SNE",
        "Calibration",
        "at most 2,222, not 2,657",
        "−1.2 to +1.9",
        "−0.6 to +2.6",
        "Over the share of the training subjects",
        "At shares of 50% networks learn from 3 real subjects",
        "mrgantry detect real out",
    ):
        assert words in page, words
    assert "Simulated data." not in page and "One seed." not in page
    assert "NaN" not in page and "None" not in page


def test_the_answer_is_that_of_the_numbers(sets, tmp_path):
    better = answer(found_with(sets, EQUAL | {"classical+synthetic": 3.0}))
    assert better["sentence"].startswith(
        "Synthetic images beside classical ones helped: accuracy +"
    )
    worse = write_detection(tmp_path, found_with(sets, EQUAL | {"classical+synthetic": -1.0}))
    assert worse.startswith("Synthetic images beside classical ones hurt: accuracy −")
    page = (tmp_path / "detection.html").read_text()
    assert "As printed" not in page and "t-SNE" not in page


def test_what_would_have_been_missed_is_said():
    assert missable(0.02, "accuracy").startswith("A gain of 2.9 points would have been missed")
    assert missable(0.9, "accuracy").startswith("No gain whatever")


def test_one_seed_is_said_to_be_little(sets, tmp_path):
    found = found_with(sets, EQUAL, seeds=1, conditions=("none", "synthetic alone"))
    said = write_detection(tmp_path, found)
    assert said.startswith("Synthetic images in place of real ones were tried with too few seeds")
    page = (tmp_path / "detection.html").read_text()
    assert "run it again with --seeds 3" in page and "too few seeds" in page


def test_classifiers_of_one_answer_are_told(sets):
    """A probability far above one half for every slice; the ranks are as good as ever."""
    real, synthetic = sets
    parts = []
    for cell in cells_of(USUAL[:2], 3, (1,), (1,)):
        score = np.where(real.truth.label == 1, 0.95, 0.9)
        part = Part(
            cell=cell, subjects=5, images=20, epochs=3, best=2, seen=60, seconds=60.0,
            losses=(0.5,), threshold=0.4, probability=tuple(score.tolist()),
        )  # fmt: skip
        parts.append(part)
    found = gather_detection(real, synthetic, parts, "mrgantry detect real out", "CPU", CHOICES)
    assert [remark[:48] for remark in found.remarks] == [
        "3 of 3 classifiers learnt with none call every s",
        "3 of 3 classifiers learnt with classical call ev",
    ]


def test_guessing_is_said_to_tell_nothing(sets):
    (remark,) = found_with(sets, EQUAL | {"classical": 0.0}).remarks
    assert remark.startswith("Classifiers with classical changes are not shown to be better")


def test_several_experiments_stand_in_one_table_the_best_first(sets, tmp_path):
    skills = {
        "worse": EQUAL | {"classical+synthetic": 0.2},
        "better": EQUAL | {"classical+synthetic": 2.5},
    }
    for name, skill in skills.items():
        found = found_with(sets, skill)
        write_json(tmp_path / name / "detection.json", found.model_dump())
        write_detection(tmp_path / name, found)
    report([tmp_path / name for name in skills], tmp_path / "both.html")
    page = (tmp_path / "both.html").read_text()
    table = page[page.index('<table class="augmented">') :]
    rows = re.findall(r"<tr><th><a.*?</tr>", table[: table.index("</table>")], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(?:<a[^>]*>)?(.*?)</", row) for row in rows]
    assert [row[0] for row in cells] == ["better", "worse"]
    assert [row[-1] for row in cells] == ["helps", "hurts"]
    assert cells[0][6].startswith("+") and cells[1][6].startswith("−")
    assert cells[0][2] == str(sets[0].whole.about.size)
    corrected = holm([found_with(sets, skill).answer.p for skill in skills.values()])
    assert [row[8] for row in cells] == [f"{p:.2g}" for p in corrected[::-1]]
    report([tmp_path / "better"], tmp_path / "one.html")
    assert "Which set augments best" not in (tmp_path / "one.html").read_text()


def test_the_common_page_tells_of_it_and_links_to_it(sets, tmp_path):
    found = found_with(sets, EQUAL)
    write_json(tmp_path / "lab/detection/detection.json", found.model_dump())
    said = write_detection(tmp_path / "lab/detection", found)
    report([tmp_path / "lab/detection"], tmp_path / "pages/report.html")
    page = (tmp_path / "pages/report.html").read_text()
    assert "Tumour detection: detection" in page and said in page and found.command in page
    (link,) = re.findall(r'href="([^"#]+)"', page)
    assert (tmp_path / "pages" / link).resolve() == tmp_path / "lab/detection/detection.html"
