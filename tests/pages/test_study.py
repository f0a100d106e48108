from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mrgantry.pages.study import checklists, write_study
from mrgantry.pages.study import images as study_images
from mrgantry.pages.study.tables import printed_table
from mrgantry.pages.study.words import finding, finding_of_many, percent
from mrgantry.papers import han2018, han2018_pggan, kazuhiro2018
from mrgantry.study.protocol import Protocol
from mrgantry.study.statistics.analysis import analyse
from mrgantry.study.statistics.readings import COLUMNS
from mrgantry.study.study import Block, BlockSource, Reader, Study, StudyFacts

ORDER = (("real", "real"), ("real", "synthetic"), ("synthetic", "real"), ("synthetic", "synthetic"))
KAZUHIRO = Protocol(
    name="kazuhiro2018", cases=50, synthetic_word="created", unknown=True, seconds=10
)


class Page(HTMLParser):
    """The rows of a page's tables, its text, and what it loads or links to."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.words, self.loads, self.hidden, self.cell = [], [], [], False, False
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.hidden = tag == "style"
        self.loads += [value for key, value in attrs if key in ("src", "href", "xlink:href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True

    def handle_endtag(self, tag):
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data):
        if not self.hidden:
            self.words.append(data)
            if self.cell:
                self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())

    def row(self, *start):
        """Give what follows in the rows that begin so."""
        return [row[len(start) :] for row in self.rows if row[: len(start)] == list(start)]


def answers(counts, **more):
    """Make answers from (reader, block): (rr, rs, sr, ss); all readers see the same images."""
    rows = []
    for (reader, block), some in counts.items():
        number = {"real": 0, "synthetic": 0}
        for (truth, answer), count in zip(ORDER, some, strict=True):
            for _ in range(count):
                number[truth] += 1
                case = f"{block}{truth}{number[truth]:03d}"
                rows.append({"reader": reader, "block": block, "case": case, "truth": truth})
                rows[-1] |= {"answer": answer, "subject": "s1" if truth == "real" else ""}
    table = pd.DataFrame(rows).assign(
        group="", years=np.nan, position=1, tumour="", tumour_answer="", confidence=np.nan,
        reason="", response_s=2.0, server_s=2.1, late=False, waited_s=0.1, sent=1,
        use="counts", answered="2026-01-02", sequence="T1", set="slices", slice="a",
    )  # fmt: skip
    return table.assign(**more)[list(COLUMNS)]


def study(table, protocol, **more):
    """Make the study that some answers are of."""
    source = {"fingerprint": "f", "images": 90, "subjects": 9}
    blocks = tuple(
        Block(
            name=name,
            real=BlockSource(name="slices", **source),
            split="test",
            synthetic=(BlockSource(name="made", made_by="<b>dcgan</b>", generated=120, **source),),
        )
        for name in dict.fromkeys(table["block"])
    )
    people = table.drop_duplicates("reader")[["reader", "group"]].itertuples(index=False)
    values = {
        "id": "abc", "kind": "blinded", "title": "Reading", "protocol": protocol, "blocks": blocks,
        "readers": tuple(Reader(name=name, group=group) for name, group in people), "seed": 0,
        "simulated": False, "created": "2026-01-02", "command": "mrgantry study create x",
        "versions": {"mrgantry": "0.1.0"}, "key_fingerprint": "k",
    }  # fmt: skip
    return StudyFacts(**values | more)


def page_of(out, table, protocol=None, printed=(), cues=None, pictures=None, **more):
    about = study(table, protocol or Protocol(name="han2018"), **more)
    found = analyse(table, draws=20)
    write_study(out, Study(out, about), table, found, printed, cues, pictures, "mrgantry score x")
    return Page((out / "study.html").read_text(encoding="utf-8"))


def cues(low, p):
    group = {"name": "all", "accuracy": 0.8, "low": low, "high": 0.9, "p": p, "cue": None}
    return {"groups": [group], "n_real": 50, "n_subjects": 9, "n_synthetic": 50, "seed": 0,
            "method": "trees"}  # fmt: skip


def test_what_was_changed_after_the_draw_stands_at_the_top(tmp_path):
    table = answers({("Dr A", "T1"): (30, 20, 20, 30)})
    found, about = analyse(table, draws=20), study(table, Protocol(name="han2018"))
    write_study(tmp_path, Study(tmp_path, about), table, found, changed=["cues.json was <gone>."])
    page = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert page.index("Changed after the draw") < page.index("<section>")
    assert "cues.json was &lt;gone&gt;." in page


ROWS = {row.label: row.counts for row in han2018.PRINTED.rows}


@pytest.fixture(scope="module")
def han(tmp_path_factory):
    """The twelve blocks of Han et al. with the counts that they print."""
    out = tmp_path_factory.mktemp("han")
    table = answers({("Dr A", block): counts for block, counts in ROWS.items()})
    pictures = {case: np.zeros((8, 8), np.uint8) for case in table["case"]}
    printed = (han2018.PRINTED,)
    return out, page_of(out, table, printed=printed, cues={"T1": cues(0.4, 0.5)}, pictures=pictures)


@pytest.mark.parametrize("row", han2018.PRINTED.rows, ids=lambda row: row.label)
def test_counts_and_accuracies_are_those_that_the_paper_prints(han, row):
    ours, theirs = [
        found for found in han[1].row(row.label) if found[0] == f"{100 * row.accuracy:g} %"
    ]
    assert ours == [f"{100 * row.accuracy:g} %", *map(str, row.counts)]
    assert theirs[: len(ours)] == ours
    assert theirs[-1].endswith("fail" if row.accuracy > 0.69 else "inconclusive")


def test_the_head_tells_bias_from_skill(han):
    _, page = han
    assert "A synthetic image was called real in 17 % of cases (100/600" in page.text
    assert "a real one in 41 % of cases (248/600" in page.text
    assert "The reader leans to “synthetic”" in page.text
    assert "is 24 %; from 227 answers on" in page.text
    verdict, fool, recall, *_ = page.row("FLAIR DCGAN 128")[0]
    assert (verdict, fool[:4], recall[:4]) == ("? not shown to be guessing", "16 %", "24 %")
    assert page.row("T1 DCGAN 128")[0][0] == "− told apart"


def test_printed_bias_is_not_taken_for_guessing(han):
    said = [row for row in han[1].rows if row[-1:] and "; equivalence: " in row[-1]]
    told, unclear = (
        next(row[-1] for row in said if row[0] == block)
        for block in ("T1 WGAN 128", "FLAIR DCGAN 128")
    )
    assert told == "told apart; equivalence: inconclusive"
    assert unclear == "not shown to be guessing; equivalence: inconclusive"


def test_no_flag_without_a_reason(han):
    for words in ("Simulated data", "below chance.", "Trivial cues tell", "not finished"):
        assert words not in han[1].text


def test_the_page_stands_alone_and_escapes_names(han):
    out, page = han
    assert all(load.startswith(("data:", "#")) for load in page.loads)
    assert "<b>dcgan</b>" not in (out / "study.html").read_text()
    assert "<b>dcgan</b>" in page.text
    assert {path.name for path in out.iterdir()} == {
        "study.html", "readings.csv", "accuracy.svg", "detection.svg", "times.svg",
    }  # fmt: skip


def test_the_table_for_spreadsheets_has_a_row_a_reading(han):
    table = pd.read_csv(han[0] / "readings.csv", keep_default_na=False)
    assert table["block"].tolist() == [*ROWS, ""]
    first = table.iloc[0]
    counts = first[["confusion_rr", "confusion_rs", "confusion_sr", "confusion_ss"]]
    assert tuple(counts) == ROWS["T1 DCGAN 128"]
    assert first["accuracy_value"] == 0.7
    assert first["accuracy_wilson_method"] == "Wilson"
    assert first["times_real_real_median"] == 2.0


def test_all_flags(tmp_path):
    table = answers({("A", "x"): (15, 35, 35, 15)})
    page = page_of(
        tmp_path, table, Protocol(name="own", cases=120), cues={"x": cues(0.7, 0.001)},
        simulated=True,
    )  # fmt: skip
    assert "Simulated data." in page.text
    assert "Accuracy below chance. That is no sign of realism" in page.text
    assert "A: 30 % right, 30 of 100" in page.text
    assert "Trivial cues tell the images apart in x" in page.text
    assert "Reading is not finished. Answers so far: A (100 of 120)" in page.text
    assert "named the wrong way round" in page.text
    assert "a simulated one in 30 % of cases" in page.text


def test_no_answers_of_one_class(tmp_path):
    page = page_of(tmp_path, answers({("A", "x"): (3, 2, 0, 0)}))
    assert "Nothing can be said" in page.text
    assert "nan" not in page.text.lower().split()
    assert page.row("60 %", "3", "2", "0", "0") == [[]]


def test_readers_of_two_groups_in_the_layout_of_kazuhiro(tmp_path):
    counts = {
        ("NR2", "x"): (6, 14, 21, 9),
        ("NN1", "x"): (18, 2, 6, 23),
        ("NN2", "x"): (16, 4, 9, 20),
    }
    table = answers(counts)
    table.loc[(table["reader"] == "NN1") & (table["case"] == "xreal001"), "answer"] = "unknown"
    table["group"] = ["neuro" if name == "NR2" else "others" for name in table["reader"]]
    table["confidence"] = [1.0 + number % 5 for number in range(len(table))]
    table.loc[3, ["late", "sent"]] = [True, 2]
    page = page_of(tmp_path, table, KAZUHIRO, printed=(kazuhiro2018.PRINTED,))
    assert page.row("NR2", "neuro")[0] == [
        "6 30 %", "14 70 %", "21 70 %", "9 30 %", "0", "0", "30 %", "30 %",
    ]  # fmt: skip
    assert page.row("NN1", "others")[0][:5] == ["17 89 %", "2 11 %", "6 21 %", "23 79 %", "1"]
    assert page.row("NR2", "neuroradiologists")[0][:5] == ["30 %", "30", "70", "71", "29"]
    assert page.row("neuro (1)", "others (2)")
    assert "1 of 148 answers came after 10 s and count" in page.text
    assert "Sessions of 50 images fit the rates of NNR1" in page.text
    assert "area under the curve" in (tmp_path / "roc.svg").read_text()
    assert page.row("x")[0][-4:] == ["1", "0", "1", "1"]  # unknown, none, late, sent again


def test_tumour_tables_in_the_layout_of_han(tmp_path):
    table = answers({("B", "x"): (58, 42, 1, 99)})
    tumour = ["yes" if number % 2 else "no" for number in range(len(table))]
    table = table.assign(tumour=tumour, tumour_answer=["no", *tumour[1:]])
    table.loc[1, "tumour_answer"] = "no"
    protocol = Protocol(name="han2018-pggan", cases=200, questions=("truth", "tumour"))
    printed = (han2018_pggan.PRINTED, han2018_pggan.PRINTED_TUMOUR)
    page = page_of(tmp_path, table, protocol, printed=printed)
    assert page.row("78.5 %", "58", "42", "1", "99") == [[]]
    ours, theirs = page.row("all")
    assert ours[:4] == ["99", "1", "0", "100"]
    assert theirs == ["90.5 %", "82", "18", "1", "99"]


def test_printed_rates_of_unknown_n_get_no_interval_and_no_test():
    rows = printed_table(kazuhiro2018.PRINTED, 0.1)["rows"]
    assert {row["verdict"] for row in rows} == {"n unknown"}
    assert {row["d_prime"].interval for row in rows} == {""}
    assert rows[1]["d_prime"].value == "−1.08"  # z(0.30) - z(0.71)


@pytest.mark.parametrize(
    ("counts", "kind"),
    [
        ((45, 5, 10, 40), "told"),
        ((15, 35, 35, 15), "inverted"),
        ((125, 125, 125, 125), "guessing"),
        ((0, 250, 0, 250), "open"),  # all called synthetic
        ((12, 238, 12, 238), "open"),  # nearly all: no answer could leave the margin
        ((13, 12, 12, 13), "open"),
        ((170, 130, 135, 165), "told"),  # slightly: equivalent and yet not independent
        ((0, 20, 0, 300), "open"),  # far from 1/2 because classes are unequal
        ((5, 5, 0, 0), "open"),
    ],
)
def test_what_is_said_of_one_reader(counts, kind):
    found = analyse(answers({("A", "x"): counts}), draws=1)
    assert finding(found.readings[0]).kind == kind


ALONE, NONE, SAME = (1, 0, 0, 0), (0, 0, 0, 0), (0, 150, 0, 150)
HALF = (75, 75, 75, 75)


@pytest.mark.parametrize(
    ("counts", "kind"),
    [
        ([(120, 0, 0, 120), ALONE], "told"),  # one perfect, one with a single answer
        ([(120, 0, 0, 120), SAME], "told"),
        ([(40, 10, 10, 40), (28, 22, 23, 27)], "told"),  # 80 and 55 of 100
        ([(40, 10, 10, 40), (10, 40, 40, 10)], "told"),  # on both sides of chance
        ([(10, 40, 40, 10), (12, 38, 36, 14)], "inverted"),
        ([(29, 21, 21, 29)] * 6, "told"),  # none by oneself
        ([SAME, SAME], "open"),  # all called synthetic
        ([HALF] * 6, "guessing"),
        ([*[HALF] * 6, SAME], "open"),
        ([*[HALF] * 6, ALONE], "open"),
        ([(13, 12, 12, 13)] * 2, "open"),
        ([ALONE, ALONE], "open"),
    ],
)
def test_what_is_said_of_several_readers(counts, kind):
    table = answers({(f"R{i}", "x"): some for i, some in enumerate(counts)})
    random = np.random.default_rng(0)  # readers mistake other images
    table["case"] = table.groupby(["reader", "truth"])["case"].transform(random.permutation)
    found = analyse(table, draws=300)
    assert finding_of_many(found.means[0], found.readings, 0.1).kind == kind


def test_a_mean_does_not_hide_readers_on_both_sides_of_chance():
    both = {("A", "x"): (40, 10, 10, 40), ("B", "x"): (10, 40, 40, 10)}
    found = analyse(answers(both), draws=200)
    said = finding_of_many(found.means[0], found.readings, 0.1)
    assert (said.kind, said.word) == ("told", "told apart by some")
    assert "2 of 2" in said.sentence and "1 the wrong way round" in said.sentence


def test_images_most_often_mistaken_come_first():
    counts = {("A", "x"): (3, 0, 3, 0), ("B", "x"): (3, 0, 2, 1), ("C", "x"): (3, 0, 1, 2)}
    table = answers(counts, reason="grain")
    pictures = {case: np.zeros((4, 4), np.uint8) for case in table["case"]}
    made = study_images.mistaken(table, pictures, ["synthetic"])
    assert [one["count"] for one in made["pictures"]] == ["3 of 3", "2 of 3", "1 of 3"]
    assert (made["mistaken"], made["images"], made["all"]) == (3, 3, 1)
    assert study_images.mistaken(table, pictures, ["real"])["pictures"] == []
    said = list(study_images.reasons(table, {}, "created"))
    assert [one["right"] for one in said] == [False] * 6 + [True] * 12
    assert said[0]["truth"] == "created"


@pytest.mark.parametrize(("titles", "count"), [(checklists.CLAIM, 44), (checklists.GRRAS, 15)])
def test_checklists_have_all_their_items(titles, count):
    items = checklists.checklist(titles, {count: "said"})
    assert [item.number for item in items] == list(range(1, count + 1))
    assert [item.text for item in items] == [""] * (count - 1) + ["said"]


def test_checklists_say_what_is_known_and_leave_the_rest(han):
    _, page = han
    assert page.row("44", "Funding") == [["to be filled by you"]]
    assert page.row("20", "Level at which partitions are disjoint")[0][0].startswith("Subjects")
    assert "One reader: there is no agreement" in page.row(
        "11", "Actual numbers of raters, subjects and replicates"
    )[0][0]  # fmt: skip


def test_percent_of_nothing_is_a_dash():
    assert (percent(None), percent(0.0), percent(1.0)) == ("–", "0\u00a0%", "100\u00a0%")
