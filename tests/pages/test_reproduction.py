"""The page of a repeated study, from results with known numbers."""

import re
from dataclasses import replace

import pandas as pd
import pytest
import torch

from answers import answers_of, tumour_answers
from conftest import blobs, write_slices
from mrgantry.common.files import write_json
from mrgantry.common.picture import save_grid
from mrgantry.common.score import Score
from mrgantry.common.tables import write_table
from mrgantry.detection.findings import Arm, ArmScore, Detection, Effect, Split
from mrgantry.evaluation.stability import Stability
from mrgantry.pages.reproduced import Fact, ModelResult, ReaderStudy, Reproduced, TypeResult
from mrgantry.pages.reproduction import detection, versions, write_reproduction
from mrgantry.papers import delplace2020, han2018, han2018_pggan, kazuhiro2018
from mrgantry.study.statistics.analysis import analyse

MEASURED = ("rho_coded", "sigma_coded", "delta_coded", "rho_formula", "sigma", "delta")


def score(name, value, synthetic="net", better="real", floor=0.5, features="pixels"):
    return Score(
        name, features, synthetic, better, value, value - 0.1, value + 0.1, floor, floor - 0.05,
        floor + 0.05, 30, 30, "made up", 0, "", "",
    )  # fmt: skip


@pytest.fixture
def folders(tmp_path):
    subjects = [f"s{number // 4}" for number in range(16)]
    splits = ["train" if number < 8 else "test" for number in range(16)]
    write_slices(tmp_path / "t1/slices", blobs(16), subjects, splits)
    write_slices(tmp_path / "t1/synthetic/net", blobs(8), ["g"] * 8, [""] * 8, synthetic=True)
    return tmp_path


def reproduced(folder, label, scores, *, failed="", **others):
    sets = () if failed else (("", folder / "t1/synthetic/net"),)
    model = ModelResult(
        label=label,
        block=label,
        sets=sets,
        scores={} if failed else {"net": scores},
        failed=failed,
        changes=("size was 128, now 16",),
    )
    one = TypeResult(
        label="T1 128",
        slices=folder / "t1/slices",
        page=folder / "t1/report.html",
        models=(model,),
        changes=("slices was '80:150', now '80:150:7'",),
    )
    values = {
        "study": "a-study",
        "title": "A study",
        "citation": "Somebody, 2018",
        "scale": "smoke",
        "limits": "It shows nothing.",
        "simulated": True,
        "facts": (Fact("Scans", "220 patients", ("8 subjects",)),
                  Fact("Time of training", "2 h", ("0.1 minutes",), timed=True)),
        "types": (one,),
        "reading": None,
        "values": None,
        "notes": ("A defect.",),
        "remarks": (),
        "command": "mrgantry reproduce a-study OUT",
        "commands": ("mrgantry simulate OUT",),
        "versions": {"mrgantry": "1"},
    }  # fmt: skip
    return Reproduced(**values | others)


def page_of(folder, found):
    write_reproduction(folder / "report.html", found)
    return (folder / "report.html").read_text()


def cells(page, row):
    """Give the cells of the table row that begins with a word, as text."""
    found = re.search(rf"<tr><th>{re.escape(row)}.*?</tr>", page, re.DOTALL)
    texts = re.findall(r"<td[^>]*>(.*?)</td>", found[0], re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", text).split()) for text in texts]


def test_printed_measures_stand_beside_ours_with_intervals(folders):
    scores = [score(name, 0.7) for name in MEASURED]
    found = reproduced(folders, "DCGAN, DRAGAN", scores, values=delplace2020.MEASURES)
    page = page_of(folders, found)
    row = cells(page, "DCGAN, DRAGAN")
    assert row[:3] == ["0.718", "352", "15"]
    assert row[3] == "0.700 − worse 0.600 to 0.800"
    assert len(row) == 9
    real = cells(page, "Training data")
    assert real[:4] == ["0.739", "409", "15", "0.500 0.450 to 0.550"]


def test_blocks_show_what_the_reader_and_a_classifier_said(folders):
    reading = ReaderStudy(
        folders / "study", True, (han2018.PRINTED,), None, folders / "scored/study.html", ("Cue.",)
    )
    scores = [score("c2st_cnn", 0.9, better="half")]
    page = page_of(folders, reproduced(folders, "T1 DCGAN 128", scores, reading=reading))
    row = cells(page, "T1 DCGAN 128")
    assert row[:6] == ["70 %", "26", "24", "6", "44", "not read yet"]
    assert row[6] == "0.900 0.800 to 1.00 real: 0.500"
    assert cells(page, "T1 WGAN 128")[6] == "–"
    assert "Nobody has read yet." in page


def test_readers_are_listed_with_their_groups(folders):
    reading = ReaderStudy(
        folders / "study", True, (kazuhiro2018.PRINTED,), None, folders / "scored/study.html", ()
    )
    page = page_of(folders, reproduced(folders, "DCGAN", [], reading=reading))
    assert cells(page, "NR2")[:6] == ["neuroradiologists", "30 %", "30", "70", "71", "29"]


def test_what_converges_stands_beside_what_the_paper_says(folders):
    found = reproduced(folders, "DCGAN, DRAGAN", [])
    (image_type,) = found.types
    judged = replace(
        image_type.models[0], converges=True, stability=Stability("collapsed", "3 directions.")
    )
    found = replace(found, types=(replace(image_type, models=(judged,)),))
    page = page_of(folders, found)
    assert cells(page, "DCGAN, DRAGAN") == ["converges", "collapsed", "3 directions."]
    assert "less than half as many directions" in page
    page = page_of(folders, reproduced(folders, "DCGAN, DRAGAN", []))
    assert "Which models converge" not in page  # of a paper that does not say


def test_walks_and_the_ablations_are_shown(folders):
    black = torch.full((4, 1, 16, 16), -1.0)
    save_grid(folders / "t1/walks/net/strip.png", black, 4)
    write_table(
        folders / "t1/walks/net/walk.csv",
        pd.DataFrame({"frame": range(4), "position": [0, 0.3, 0.7, 1], "change": [None, 1, 2, 9]}),
    )
    facts = {"complete": True, "labels_of_all_images": {}, "images": 4, "median_change": 2.0}
    facts |= {"largest_change": 9.0, "largest_over_median": 4.5}
    facts["choices"] = {"method": "linear", "seeds": [0, 1]}
    write_json(folders / "t1/walks/net/walk.json", facts)
    found = reproduced(folders, "DCGAN", [], ablations="mrgantry compare slices ablations")
    (image_type,) = found.types
    walked = replace(image_type.models[0], walk=folders / "t1/walks/net")
    found = replace(found, types=(replace(image_type, models=(walked,)),))
    page = page_of(folders, found)
    assert "4 images; median step 2.00, largest 9.00, 4.50 times the median" in page
    assert "<pre>mrgantry compare slices ablations</pre>" in page and "not run yet" in page
    there = replace(found, ablated=folders / "ablations/comparison.html")
    assert 'href="ablations/comparison.html"' in page_of(folders, there)


def test_figures_are_those_of_the_paper(folders, tmp_path):
    people = [f"s{number // 4}" for number in range(16)]
    write_slices(tmp_path / "real", blobs(16), people, ["train"] * 16, tumour=["yes"] * 16)
    black = torch.full((4, 1, 16, 16), -1.0)
    save_grid(folders / "selected/discarded.png", black, 4)
    groups = [f"{source}, {word}" for source in ("real", "classical", "synthetic")
              for word in ("tumour", "no tumour")]  # fmt: skip
    places = pd.DataFrame({"group": groups * 3, "x": range(18), "y": range(18)})
    write_table(folders / "detection/map.csv", places)
    found = reproduced(
        folders, "PGGAN", [], classical=tmp_path / "real",
        discarded=(("PGGAN, tumour", folders / "selected", "3 of 40: 3 far"),),
        detection=folders / "detection/detection.html",
    )  # fmt: skip
    page = page_of(folders, found)
    assert "A slice and its classical versions" in page
    assert "Failed: PGGAN, tumour" in page and "the worst first; 3 of 40: 3 far" in page
    part = page[page.index("A t-SNE map of up to") :]
    part = part[: part.index("</section>")]
    assert part.count("<svg") == 3


def test_versions_begin_with_the_slice_itself():
    real = blobs(1, 32)
    shown = versions(real, 5)
    assert shown.shape == (6, 1, 32, 32) and (shown[0] == real[0]).all()
    assert len({image.tobytes() for image in shown}) == 6


def test_what_is_taken_of_two_readings_is_bold(folders):
    alternatives = han2018.ALTERNATIVES
    latents = next(other for other in alternatives if other.name == "uniform-latents")
    for taken, bold in (((), latents.here), (("uniform-latents",), latents.other)):
        found = reproduced(folders, "DCGAN", [], alternatives=alternatives, taken=taken)
        page = page_of(folders, found)
        row = page[page.index("Distribution of latents") :]
        row = row[: row.index("</tr>")]
        assert re.findall("<b>(.*?)</b>", row) == [bold]
        assert "<code>uniform-latents</code>" in row


def test_the_scale_and_the_simulation_are_said_first(folders):
    found = reproduced(folders, "DCGAN", [score("c2st_cnn", 0.9)], remarks=("It diverged.",))
    page = page_of(folders, found)
    head = page[page.index("<header>") : page.index("</header>")]
    assert "It shows nothing." in head and "Simulated data." in head and "It diverged." in head
    assert "Simulated data." not in page_of(
        folders, reproduced(folders, "DCGAN", [], simulated=False)
    )
    assert cells(page, "Scans") == ["220 patients", "8 subjects"]
    assert 'href="t1/report.html"' in page  # the folder can be moved
    assert "slices was &#39;80:150&#39;, now &#39;80:150:7&#39;" in page
    assert "A defect." in page and "mrgantry simulate OUT" in page


def test_a_model_that_diverged_is_a_row_without_numbers(folders):
    found = reproduced(folders, "DCGAN, DRAGAN", [], failed="NaN.", values=delplace2020.MEASURES)
    page = page_of(folders, found)
    row = cells(page, "DCGAN, DRAGAN")
    assert row[:3] == ["0.718", "352", "15"] and set(row[3:]) == {"–"}
    assert "diverged" in page


def test_models_that_were_not_measured_are_rows_without_numbers(folders):
    found = reproduced(folders, "DCGAN, DRAGAN", [], values=delplace2020.MEASURES)
    assert set(cells(page_of(folders, found), "DCGAN, DRAGAN")[3:]) == {"–"}


def experiment():
    """Give an experiment of two conditions."""
    none, changed = Arm(condition="none", share=1.0), Arm(condition="classical", share=1.0)
    mixed = [Arm(condition="synthetic", share=1.0, ratio=ratio) for ratio in (1.0, 20.0)]
    names = ("accuracy", "sensitivity", "specificity")
    return Detection.model_construct(
        arms=(none, changed, *mixed),
        seeds=(0, 1),
        remarks=("Keep in mind.",),
        splits=(Split(split="test", tumour=30, none=70, subjects=5),),
        scores=tuple(
            ArmScore(arm=arm, measure=name, value=value, low=0.75, high=0.9, seeds=(0.8,))
            for arm, value in zip((none, changed, *mixed), (0.8, 0.8, 0.81, 0.82), strict=True)
            for name in names
        ),
        effects=(
            Effect(
                measure="accuracy", one=changed, other=none, value=-0.012, low=-0.03, high=0.01,
                p=0.2, main=True, p_holm=0.4, freedom=3.0, verdict="not shown", seeds=(-0.012,),
            ),
        ),
    )  # fmt: skip


def test_detection_is_in_percent_with_differences_in_points():
    table = detection(han2018_pggan.PRINTED_DETECTION, experiment())
    first, _, third, fourth = table["rows"]
    assert first["printed"] == (90.06, 85.27, 97.04)
    assert first["ours"][0] == ("80.0", "75.0 to 90.0", "")
    assert third["ours"][0].value == "82.0"  # of the ratio that is nearest to the printed 22.5
    assert third["condition"] == "synthetic, 20 synthetic to each other image"
    assert fourth["ours"] == [None, None, None]  # a condition that was not trained
    (effect,) = table["effects"]
    assert (effect["points"], effect["interval"]) == ("−1.2", "−3.0 to +1.0")
    assert table["images"] == "100" and table["notes"][-1] == "Keep in mind."
    assert detection(None, None) is None


def test_without_an_experiment_the_printed_table_stands_alone(folders):
    found = reproduced(
        folders, "PGGAN", [], printed_detection=han2018_pggan.PRINTED_DETECTION,
        remarks=("The detection experiment was not made. No tumours.",),
    )  # fmt: skip
    page = page_of(folders, found)
    assert cells(page, "200k PGGAN") == ["62.02", "99.94", "6.84", "–", "–", "–"]
    assert "No tumours." in page and "was not made here" in page


def test_answers_that_cannot_be_scored_are_told(folders):
    reading = ReaderStudy(
        folders / "study", True, (kazuhiro2018.PRINTED,), None, folders / "scored/study.html", (),
        unscored="The key is away.", serve="mrgantry study serve 'a b'", seats=("R1: resident",),
    )  # fmt: skip
    page = page_of(folders, reproduced(folders, "DCGAN", [], reading=reading))
    assert "Answers cannot be scored:</b> The key is away." in page
    assert cells(page, "NR1")[6] == "not scored" and "Nobody has read yet" not in page
    open_one = replace(reading, unscored="")
    page = page_of(folders, reproduced(folders, "DCGAN", [], reading=open_one))
    assert "study/links.csv" in page and "study/key.csv" in page and "R1: resident" in page
    assert "mrgantry study serve &#39;a b&#39;" in page


def test_answers_stand_beside_the_printed_ones_once_somebody_has_read(folders):
    said = pd.concat(
        [
            answers_of((9, 1, 4, 6), reader="R1", group="neuroradiologists", block="T1"),
            answers_of((5, 5, 5, 5), reader="R2", group="neuroradiologists", block="T1"),
        ]
    )
    reading = ReaderStudy(
        folders / "study", True, (kazuhiro2018.PRINTED,), analyse(said, draws=20),
        folders / "scored/study.html", (),
    )  # fmt: skip
    page = page_of(folders, reproduced(folders, "DCGAN", [], reading=reading))
    first = cells(page, "NR1")
    assert first[1:6] == ["55 %", "56", "44", "45", "55"]
    assert first[6].startswith("75 %") and "15/20" in first[6]
    assert first[7:] == ["9", "1", "4", "6"]
    assert cells(page, "NR2")[7:] == ["5", "5", "5", "5"]
    assert cells(page, "NNR1")[7:] == ["–"] * 4  # who has not read yet
    assert 'href="scored/study.html"' in page and "not read yet" not in page


def test_groups_of_readers_are_compared(folders):
    first = {"group": "neuroradiologists", "block": "T1"}
    second = {"group": "others", "block": "T1"}
    said = pd.concat(
        [
            answers_of((9, 1, 4, 6), reader="R1", **first),  # 75 %
            answers_of((5, 5, 5, 5), reader="R2", **first),  # 50 %
            answers_of((10, 0, 2, 8), reader="R3", **second),  # 90 %
            answers_of((8, 2, 2, 8), reader="R4", **second),  # 80 %
        ]
    )
    reading = ReaderStudy(
        folders / "study", True, (kazuhiro2018.PRINTED,), None, folders / "scored/study.html", (),
        quiz=folders / "quiz.html",
    )  # fmt: skip
    page = page_of(folders, reproduced(folders, "DCGAN", [], reading=reading))
    assert cells(page, "Mean of neuroradiologists") == ["42.5 %", "not read yet"]
    assert cells(page, "Mean of others") == ["73 %", "not read yet"]
    assert cells(page, "Neuroradiologists less others") == ["−30.5", "not read yet"]
    assert 'href="quiz.html"' in page
    read = replace(reading, analysis=analyse(said, draws=20))
    page = page_of(folders, reproduced(folders, "DCGAN", [], reading=read))
    assert cells(page, "Mean of neuroradiologists")[1].startswith("62 %")
    assert cells(page, "Mean of others")[1].startswith("85 %")
    value, low, _, high = cells(page, "Neuroradiologists less others")[1].split()
    assert value == "−22.5"
    ends = [float(end.replace("−", "-")) for end in (low, high)]
    assert ends[0] < -22.5 < ends[1]


def test_a_block_is_found_by_its_name(folders):
    said = answers_of((8, 2, 3, 7), reader="R1", block="T2 WGAN 128")
    reading = ReaderStudy(
        folders / "study", True, (han2018.PRINTED,), analyse(said, draws=20),
        folders / "scored/study.html", (),
    )  # fmt: skip
    page = page_of(folders, reproduced(folders, "T2 WGAN 128", [], reading=reading))
    row = cells(page, "T2 WGAN 128")
    assert row[:5] == ["58 %", "19", "31", "11", "39"] and row[6:10] == ["8", "2", "3", "7"]


def test_what_the_paper_concludes_of_two_networks_is_tested_by_itself(folders):
    reading = ReaderStudy(
        folders / "study", True, (han2018.PRINTED,), None, folders / "scored/study.html", ()
    )
    page = page_of(folders, reproduced(folders, "T1 DCGAN 128", [], reading=reading))
    row = cells(page, "T1c DCGAN 128, T1c WGAN 128")
    assert row[0] == "71 of 100, 55 of 100" and row[1].startswith("+16.0")
    assert row[2:] == ["0.028", "0.166", "not read yet"]  # Holm: six times
    pooled = cells(page, "All DCGAN, all WGAN")
    assert pooled[0] == "390 of 600, 358 of 600" and pooled[2:4] == ["0.065", "–"]
    said = pd.concat(
        [answers_of((9, 1, 1, 9), reader="R1", block="T1 DCGAN 128"),
         answers_of((5, 5, 4, 6), reader="R1", block="T1 WGAN 128"),
         answers_of((5, 5, 4, 6), reader="R1", block="T2 WGAN 128")]
    )  # fmt: skip
    read = replace(reading, analysis=analyse(said, draws=20))
    page = page_of(folders, reproduced(folders, "T1 DCGAN 128", [], reading=read))
    row = cells(page, "T1 DCGAN 128, T1 WGAN 128")[4:]
    assert row[0] == "18 of 20, 11 of 20" and row[2] == row[3] == "0.031"  # a family of one pair
    assert cells(page, "T2 DCGAN 128, T2 WGAN 128")[4] == "not read"
    assert cells(page, "All DCGAN, all WGAN")[4] == "18 of 20, 11 of 20"  # where both were read


def test_several_readers_are_compared_by_their_mean(folders):
    """A reader who is right more often with both networks makes neither look better."""
    said = pd.concat(
        answers_of((right, 10 - right, 10 - right, right), reader=reader, block=f"T1 {name} 128")
        for name, rights in {"WGAN": (9, 5, 7), "DCGAN": (10, 7, 8)}.items()
        for reader, right in zip(("R1", "R2", "R3"), rights, strict=True)
    )
    analysis = analyse(said, draws=200)
    reading = ReaderStudy(
        folders / "study", True, (han2018.PRINTED,), analysis, folders / "scored/study.html", ()
    )
    page = page_of(folders, reproduced(folders, "T1 DCGAN 128", [], reading=reading))
    row = cells(page, "T1 DCGAN 128, T1 WGAN 128")[4:]
    (test,) = (one for one in analysis.block_differences if one.reader == "")
    assert (test.first, test.difference.value) == ("T1 WGAN 128", pytest.approx(-4 / 30))
    assert row[0] == "50 of 60, 42 of 60" and row[1].startswith("+13.3")
    assert row[2] == row[3] == f"{test.p:.3f}"
    assert "means over readers" in page


def test_blocks_of_different_readers_are_counted_and_not_tested(folders):
    said = pd.concat(
        [answers_of((9, 1, 1, 9), reader="R1", block="T1 DCGAN 128"),
         answers_of((5, 5, 4, 6), reader="R2", block="T1 WGAN 128")]
    )  # fmt: skip
    reading = ReaderStudy(
        folders / "study", True, (han2018.PRINTED,), analyse(said, draws=20),
        folders / "scored/study.html", (),
    )  # fmt: skip
    page = page_of(folders, reproduced(folders, "T1 DCGAN 128", [], reading=reading))
    row = cells(page, "T1 DCGAN 128, T1 WGAN 128")[4:]
    assert row == ["18 of 20, 11 of 20", "–", "–", "–"]


def test_the_other_question_has_its_own_table(folders):
    said = pd.concat(
        [tumour_answers((8, 2, 1, 9), "real"), tumour_answers((6, 4, 0, 10), "synthetic")]
    )
    reading = ReaderStudy(
        folders / "study", True, (han2018_pggan.PRINTED_TUMOUR,), analyse(said, draws=20),
        folders / "scored/study.html", (),
    )  # fmt: skip
    page = page_of(folders, reproduced(folders, "PGGAN", [], reading=reading))
    assert cells(page, "all")[6:] == ["14", "6", "1", "19"]
    assert cells(page, "real")[6:] == ["8", "2", "1", "9"]
