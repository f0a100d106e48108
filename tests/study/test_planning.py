"""How many readers and images: power that can be worked out, choice of a size, and the files."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from mrgantry.cli import app
from mrgantry.common.errors import RecipeError
from mrgantry.papers import find_protocol, kazuhiro2018, reading_population
from mrgantry.study.planning import PlannedSize, StudyPlan, choose_size, simulate_plan
from mrgantry.study.statistics.population import Population
from mrgantry.study.statistics.proportions import power, proportion

ALIKE = Population(d_prime=0, criterion=0, d_prime_sd=0, criterion_sd=0, image_sd=0)


def size(readers, images, reached, of=100):
    return PlannedSize(readers=readers, images=images, power=proportion(reached, of))


def test_one_reader_who_guesses_has_the_power_of_the_exact_test():
    (planned,) = simulate_plan(StudyPlan(readers=(1,), images=(200,), studies=150), ALIKE)
    # That Fisher's test finds nothing either holds for nearly all who pass.
    exact = float(power(np.array([200]), 0.1)[0])
    assert planned.power.value == pytest.approx(exact, abs=0.12)


def test_readers_who_differ_much_need_more_readers_and_not_more_images():
    population = reading_population()
    plan = StudyPlan(goal="told", accuracy=0.6, readers=(3, 12), images=(50, 200), studies=30)
    found = {(s.readers, s.images): s.power.value for s in simulate_plan(plan, population)}
    assert found[12, 50] >= found[3, 50] and found[3, 200] >= found[3, 50]
    assert found[12, 200] > 0.9


def test_a_size_is_drawn_alike_whatever_else_is_tried():
    alone = simulate_plan(StudyPlan(readers=(3,), images=(50,), studies=20), ALIKE)
    among = simulate_plan(StudyPlan(readers=(2, 3), images=(40, 50), studies=20), ALIKE)
    assert among[-1] == alone[0]
    other = StudyPlan(readers=(3,), images=(200,), studies=30)
    again = other.model_copy(update={"seed": 1})
    assert simulate_plan(other, ALIKE) == simulate_plan(other, ALIKE)
    assert simulate_plan(other, ALIKE) != simulate_plan(again, ALIKE)


def test_the_smallest_size_is_chosen_by_the_lower_end():
    sizes = [size(1, 50, 100), size(2, 50, 83), size(2, 100, 95), size(4, 50, 95), size(8, 50, 99)]
    plan = StudyPlan(power=0.8)
    assert choose_size(plan, sizes) == sizes[3]  # as many answers as 2 x 100, of more readers
    assert choose_size(plan, sizes[:2]) is None
    assert choose_size(plan, sizes, (1, 50)) == sizes[0]
    with pytest.raises(RecipeError, match="add --readers 9 --images 50"):
        choose_size(plan, sizes, (9, 50))


def plan_of(folder, *words):
    small = ["--readers", "5", "--images", "100", "--studies", "20"]
    return CliRunner().invoke(app, ["study", "plan", str(folder), *small, *words])


def test_what_is_written_freezes_the_numbers(tmp_path):
    done = plan_of(tmp_path / "plan", "--power", "0.3", "--protocol", "kazuhiro2018")
    assert done.exit_code == 0, done.output
    table = pd.read_csv(tmp_path / "plan/plan.csv")
    assert list(table["answers"]) == [500] and (table["low"] < table["power"]).all()
    text = (tmp_path / "plan/preregistration.md").read_text()
    assert "5 readers" in text and "100 images" in text and "within 10 points of 50 %" in text
    assert "real or created?" in text and "10 s an image" in text
    frozen = find_protocol(str(tmp_path / "plan/protocol.json"))
    assert (frozen.cases, frozen.same_cases, frozen.share) == (100, True, (0.5, 0.5))
    assert frozen.seconds == kazuhiro2018.PROTOCOL.seconds and frozen.name == "kazuhiro2018"
    with Image.open(tmp_path / "plan/plan.png") as picture:
        assert picture.size[0] > 600
    again = plan_of(tmp_path / "again", "--power", "0.3", "--protocol", "kazuhiro2018")
    assert again.output == done.output.replace("plan/", "again/").replace(
        str(tmp_path / "plan"), str(tmp_path / "again")
    )


def test_pairs_are_planned_as_pairs(tmp_path):
    done = plan_of(tmp_path / "plan", "--power", "0.3", "--protocol", "two-alternative")
    assert done.exit_code == 0
    text = (tmp_path / "plan/plan.md").read_text()
    assert "how many readers and pairs" in text and "100 pairs" in text
    registered = (tmp_path / "plan/preregistration.md").read_text()
    assert "which image is real?" in registered and "leaning to a side" in registered
    assert "fool rate" not in registered
    assert find_protocol(str(tmp_path / "plan/protocol.json")).pairs


def test_too_little_power_is_said_and_nothing_is_registered(tmp_path):
    done = plan_of(tmp_path / "plan", "--power", "0.99", "--margin", "0.05")
    assert done.exit_code == 0 and "No size reaches the goal" in done.output
    assert not (tmp_path / "plan/preregistration.md").exists()
    assert "No size that was tried" in (tmp_path / "plan/plan.md").read_text()
    chosen = plan_of(tmp_path / "plan", "--margin", "0.05", "--choose", "5x100")
    assert chosen.exit_code == 0 and "chosen" in chosen.output
    assert json.loads((tmp_path / "plan/protocol.json").read_text())["margin"] == 0.05


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--goal", "equal"), "'goal' of the plan is 'equal'"),
        (("--spread", "image=1"), "Did you mean 'image_sd'?"),
        (("--spread", "image_sd"), "must read key=number"),
        (("--spread", "image_sd=2"), "less than or equal to 1"),
        (("--margin", "0.5"), "'margin' of the plan is 0.5"),
    ],
)
def test_what_will_not_do_is_said(tmp_path, words, message):
    found = plan_of(tmp_path / "plan", *words)
    assert isinstance(found.exception, RecipeError) and message in str(found.exception)


def test_a_size_that_is_none_is_wrong_usage(tmp_path):
    assert "as 8x200" in plan_of(tmp_path / "plan", "--choose", "8 by 200").output
