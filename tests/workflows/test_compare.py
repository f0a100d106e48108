import json
import sys
import time
from dataclasses import replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from conftest import blobs, write_slices
from mrgantry.cli import app
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.common.score import Score, read_scores
from mrgantry.data.slices import SliceSet
from mrgantry.evaluation import evaluate
from mrgantry.evaluation.comparison import chance, expected_by_chance, spread_of, wins
from mrgantry.evaluation.measures import classifiers
from mrgantry.evaluation.measures.measure import COSTLY_DRAWS
from mrgantry.generate.losses import Relativistic, Wasserstein, WassersteinPenalty
from mrgantry.generate.networks import Dcgan, Progressive, UpConv
from mrgantry.generate.pace import PLENTY, Pace, cycle, measure_paces, ready, time_phase
from mrgantry.generate.recipe import RmsProp
from mrgantry.generate.schedule import Growing, Steps
from mrgantry.papers import RECIPES
from mrgantry.workflows.compare import compare
from recipes import SMALL

module = sys.modules["mrgantry.workflows.compare"]
measuring = sys.modules["mrgantry.evaluation.reference"]
pace = sys.modules["mrgantry.generate.pace"]

NARROW = SMALL.model_copy(
    update={
        "name": "narrow",
        "network": UpConv(width=16, critic_width=16, latent=8),
        "precision": "auto",
    }
)
WIDE = NARROW.model_copy(
    update={"name": "wide", "network": UpConv(width=128, critic_width=128, latent=8)}
)
GROWING = NARROW.model_copy(
    update={
        "name": "growing",
        "network": Progressive(base=128, widest=16, latent=8),
        "schedule": Growing(),
    }
)
# The penalty is more than a number in fp32 can be.
WILD = NARROW.model_copy(update={"name": "wild", "loss": WassersteinPenalty(weight=1e39)})


@pytest.fixture
def real(tmp_path):
    """A set of 16 pixels: 5 subjects to train on, 5 to test."""
    subjects = [f"s{number // 8}" for number in range(80)]
    splits = ["train" if number < 40 else "test" for number in range(80)]
    return write_slices(tmp_path / "slices", blobs(80), subjects, splits).folder


@pytest.fixture
def quick(monkeypatch):
    """Time for a moment, and draw two halves for measures that are quick at that."""
    everything = measuring.all_measures

    def some(*arguments, **options):
        kept = (one for one in everything(*arguments, **options) if one.draws != COSTLY_DRAWS)
        return [replace(one, draws=2) for one in kept]

    monkeypatch.setattr(pace, "SECONDS", 0.02)
    monkeypatch.setattr(measuring, "all_measures", some)
    monkeypatch.setattr(classifiers, "MOST_STEPS", 5)


def timed_as(monkeypatch, **seconds):
    """Say how long recipes take instead of timing them, and count how often that is asked."""
    calls = []

    def measure(rows, recipes):
        calls.append(len(rows))
        return [
            Pace(phases=(seconds[recipe.name],), precision="fp32", generator=1, critic=1)
            for recipe in recipes
        ]

    monkeypatch.setattr(module, "measure_paces", measure)
    return calls


def count_calls(monkeypatch, name, stop_at=None):
    """Count the calls of a function that comparisons call, and stop at one of them."""
    calls, original = [], getattr(module, name)

    def counted(*args, **kwargs):
        calls.append(args)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(module, name, counted)
    return calls


def spread(recipe, values, score="relative_fd", floor=1.0):
    better = {"relative_fd": "lower", "coverage": "higher", "ms_ssim_pairs": "real"}
    scores = {
        seed: [
            Score(
                score, "pixels", recipe, better.get(score, "half"), value, value, value,
                floor, floor, floor, 9, 9, "made up", 0, "", "",
            )
        ]
        for seed, value in enumerate(values)
    }  # fmt: skip
    (found,) = spread_of(recipe, scores)
    return found


def test_a_whole_comparison(real, tmp_path, quick, monkeypatch):
    said, out = [], tmp_path / "out"
    timed_as(monkeypatch, narrow=0.003, wide=0.006)  # a busy machine would time them alike
    found = compare(
        real, out, [NARROW, WIDE], seeds=2, minutes=0.004, count=40, changes=["lr=1e-3"],
        say=said.append,
    )  # fmt: skip
    lengths = {entrant.recipe: entrant.images for entrant in found.entrants}
    assert lengths["narrow"] > lengths["wide"] > 0  # equal time, so the faster one sees more
    assert [line[:4] for line in said] == ["Timi", "1/4 ", "2/4 ", "3/4 ", "4/4 "]
    assert [(run.recipe, run.seed) for run in found.outcomes] == [
        ("narrow", 0), ("wide", 0), ("narrow", 1), ("wide", 1)
    ]  # fmt: skip
    for name in ("narrow", "wide"):
        for seed in (0, 1):
            folder = out / name / f"seed-{seed}"
            recipe = json.loads((folder / "run/recipe.json").read_text())
            assert (recipe["seed"], recipe["images"]) == (seed, lengths[name])
            assert recipe["optimiser"]["lr"] == 1e-3
            assert len(SliceSet.open(folder / "synthetic")) == 40
    # What stands in the table is what evaluations of their own give.
    scores = [read_scores(out / f"wide/seed-{seed}/scores") for seed in (0, 1)]
    table = pd.read_csv(out / "comparison.csv").set_index(["recipe", "score", "features"])
    for one, two in zip(*scores):
        row = table.loc["wide", one.name, one.features]
        assert row["mean"] == pytest.approx((one.value + two.value) / 2)
        assert (row["low"], row["high"]) == (min(one.value, two.value), max(one.value, two.value))
        assert row["values"] == f"{one.value} {two.value}" and row["floor"] == one.floor
    again = evaluate(real, tmp_path / "again", [out / "wide/seed-1/synthetic"])
    assert again == scores[1]  # though its floors were computed for another run
    page = (out / "comparison.html").read_text()
    command = f"mrgantry compare {real} {out} --recipe narrow --recipe wide --seeds 2"
    assert command in page
    assert json.loads((out / "comparison.json").read_text())["command"].startswith(command)
    assert "probability 1/3" in page and 'src="http' not in page
    heads, rows = found.table()
    assert len(heads) == len(rows[0]) == len(rows[1]) == 3 + 8
    assert '<a href="#score-relative_fd">' in page and 'id="score-relative_fd"' in page


def test_it_goes_on_where_it_stopped(real, tmp_path, quick, monkeypatch):
    timings = timed_as(monkeypatch, narrow=0.01, wide=0.02)
    arguments = (real, tmp_path / "out", [NARROW, WIDE])
    options = {"minutes": 0.02, "count": 40, "say": lambda _: None}
    with pytest.MonkeyPatch.context() as patch:
        trained = count_calls(patch, "train")
        count_calls(patch, "evaluate", stop_at=3)
        with pytest.raises(KeyboardInterrupt):
            compare(*arguments, seeds=2, **options)
        assert len(trained) == 3
    done = (tmp_path / "out/narrow/seed-0/run/log.jsonl").read_bytes()
    page = (tmp_path / "out/comparison.html").read_text()
    assert "one seed, so nothing is known of the spread" in page  # as far as it got
    trained, scored = count_calls(monkeypatch, "train"), count_calls(monkeypatch, "evaluate")
    found = compare(*arguments, seeds=2, **options)
    assert (len(trained), len(scored)) == (1, 2)  # the third run was trained, but not scored
    assert timings == [40]  # the budget was read back
    assert [entrant.images for entrant in found.entrants] == [120, 56]
    assert (tmp_path / "out/narrow/seed-0/run/log.jsonl").read_bytes() == done
    assert compare(*arguments, seeds=2, **options) == found
    assert len(compare(*arguments, seeds=3, **options).outcomes) == 6
    assert (len(trained), len(scored)) == (3, 4)
    with pytest.raises(RunError, match="begun otherwise: minutes was .* count was"):
        compare(*arguments, seeds=2, minutes=1, count=50)
    with pytest.raises(RunError, match="begun otherwise: other recipes"):
        compare(*arguments, seeds=2, changes=["lr=1e-3"], **options)


def test_what_diverges_is_listed_and_stops_nobody(real, tmp_path, quick, monkeypatch):
    timed_as(monkeypatch, narrow=0.01, wild=0.001)
    options = {"seeds": 1, "minutes": 0.02, "count": 40, "say": lambda _: None}
    found = compare(real, tmp_path / "out", [WILD, NARROW], **options)
    wild, narrow = found.outcomes
    assert "Training stopped" in wild.failed and not narrow.failed
    assert {spread.recipe for spread in found.spreads} == {"narrow"}
    assert "<b>wild, seed 0, failed</b>" in (tmp_path / "out/comparison.html").read_text()
    assert found.table()[1][0][2] == "failed"
    trained = count_calls(monkeypatch, "train")
    assert compare(real, tmp_path / "out", [WILD, NARROW], **options) == found
    assert not trained
    for one in (WILD, NARROW):
        monkeypatch.setitem(RECIPES, one.name, one)
    words = f"compare {real} {tmp_path}/out --recipe wild --recipe narrow --seeds 1 --minutes 0.02"
    shown = CliRunner().invoke(app, [*words.split(), "--count", "40"])
    assert shown.exit_code == 0 and not trained
    assert "Failed: wild seed 0. Training stopped" in shown.output
    assert "relative_fd" in shown.output and "comparison.html" in shown.output


def test_runs_off_the_budget_are_named(real, tmp_path, quick, monkeypatch):
    timed_as(monkeypatch, narrow=0.1, wide=0.1)
    compare(real, tmp_path / "out", [NARROW, WIDE], seeds=1, minutes=0.1, count=40, say=print)
    assert "narrow, seed 0: 9" in (tmp_path / "out/comparison.html").read_text()


@pytest.mark.parametrize(
    ("recipes", "options", "sentence"),
    [
        ([NARROW, WIDE.model_copy(update={"size": 32})], {}, "wide makes images of 32 pixels"),
        ([NARROW], {}, "two or more recipes"),
        ([NARROW, NARROW], {}, "two or more recipes of different names"),
        ([NARROW, WIDE], {"changes": ["images=8"]}, "lengths follow from --minutes"),
        (
            [NARROW, NARROW.model_copy(update={"name": "narrow seed=3"})],
            {},
            "seeds from --seeds",
        ),
        ([NARROW, WIDE], {"changes": ["sed=8"]}, "Did you mean 'seed'"),
        ([NARROW, WIDE], {"minutes": 0}, "'minutes' of the comparison is 0"),
        ([NARROW, WIDE], {"against": "validation"}, "no images in the split 'validation'"),
        ([NARROW, WIDE], {"only": ["tumour=yes"]}, "No train slice"),
    ],
)
def test_mistakes_are_told_before_anything_starts(real, tmp_path, recipes, options, sentence):
    with pytest.raises((RecipeError, DataError), match=sentence):
        compare(real, tmp_path / "out", recipes, **options)
    assert not (tmp_path / "out").exists()


def test_other_folders_are_left_alone(real):
    with pytest.raises(RunError, match="is not a comparison"):
        compare(real, real, [NARROW, WIDE])


def test_a_growing_recipe_is_timed_in_all_its_phases(real, quick, monkeypatch):
    monkeypatch.setattr(pace, "TURNS", 2)
    # Of this process alone, since others may take the processor away at any moment.
    monkeypatch.setattr(pace.time, "perf_counter", time.process_time)
    data = SliceSet.open(real).split("train")
    growing, narrow = measure_paces(data, [GROWING, NARROW])
    assert len(growing.phases) == 5 and len(narrow.phases) == 1
    assert growing.seconds == pytest.approx(sum(growing.phases) / 5)
    assert growing.phases[0] < growing.phases[-1]  # 4 pixels are drawn faster than 16
    assert growing.images(1, 8) == int(60 / growing.seconds / 8) * 8
    training = ready(data, GROWING)
    for phase, size, alpha in ((0, 4, 1), (3, 16, 0.5), (1, 8, 0.5), (4, 16, 1)):
        time_phase(training, phase)
        assert (training.stage.phase, training.stage.size) == (phase, size)
        assert training.stage.alpha == pytest.approx(alpha, abs=1e-3)


def test_usual_rounds_are_timed_over_whole_cycles_of_the_penalty(real, monkeypatch):
    monkeypatch.setattr(pace, "SECONDS", 0.0)
    clock = iter(range(100))
    monkeypatch.setattr(pace.time, "perf_counter", lambda: float(next(clock)))
    lazy = NARROW.model_copy(
        update={"loss": Relativistic(every=6), "steps": Steps(critic=4, many=50, first=9, every=2)}
    )
    assert (cycle(NARROW), cycle(lazy)) == (1, 3)
    assert cycle(NARROW.model_copy(update={"loss": Relativistic(every=1)})) == 1
    training = ready(SliceSet.open(real).split("train"), lazy)
    monkeypatch.setattr(pace, "SECONDS", 0.5)
    assert time_phase(training, 0) == (1.0, 3 * 4 * 8)  # one tick, and a cycle of critic steps
    assert training.state.images == PLENTY // 2 + 3 * 4 * 8
    monkeypatch.setattr(pace, "SECONDS", 1.5)  # longer than a cycle: the first is not counted
    assert time_phase(training, 0) == (2.0, 2 * 3 * 4 * 8)
    assert training.state.rounds == 3 + 3 * 3


def test_a_clipped_critic_can_be_timed(real, quick, monkeypatch):
    monkeypatch.setattr(pace, "TURNS", 1)
    recipe = NARROW.model_copy(
        update={
            "network": Dcgan(width=16, latent=8),
            "loss": Wasserstein(),
            "optimiser": RmsProp(),
            "steps": Steps(critic=5, many=100, first=25),
        }
    )
    (one,) = measure_paces(SliceSet.open(real).split("train"), [recipe])
    assert one.seconds > 0 and one.generator > 0 and one.critic > 0


@pytest.mark.parametrize(
    ("score", "better", "worse", "floor"),
    [
        ("relative_fd", [1.0, 2.0, 2.9], [3.0, 5.0, 9.0], 1.0),
        ("c2st_cnn_auc", [0.45, 0.5, 0.58], [0.59, 0.7, 0.6], 0.5),
        ("coverage", [0.5, 0.45, 0.41], [0.4, 0.3, 0.1], 0.6),
        ("c2st_low_pass_auc", [0.55, 0.56, 0.54], [0.58, 0.62, 0.7], 0.5),
        ("ms_ssim_pairs", [0.28, 0.35, 0.3], [0.2, 0.45, 0.5], 0.3),
    ],
)
def test_beyond_the_spread_is_the_worst_seed_before_the_best(score, better, worse, floor):
    good, bad = spread("good", better, score, floor), spread("bad", worse, score, floor)
    assert good.beats(bad) and not bad.beats(good)
    assert wins([bad, good]) == {"good": ["bad"]}
    mixed = spread("mixed", [*better[:2], worse[0]], score, floor)
    assert wins([good, mixed]) == {}


def test_one_seed_has_no_spread_to_exceed():
    assert wins([spread("a", [1.0]), spread("b", [9.0])]) == {}
    assert expected_by_chance([[spread("a", [1.0]), spread("b", [9.0])]]) == 0


def test_luck_is_counted():
    assert [chance(k, k) for k in (1, 2, 3, 5)] == pytest.approx([1, 1 / 3, 1 / 10, 2 / 252])
    assert chance(2, 3) == pytest.approx(1 / 5)
    three = [spread(name, [1.0, 2.0, 3.0]) for name in "abcd"]
    assert expected_by_chance([three, three]) == pytest.approx(2 * 6 / 10)
