"""The command line takes what the functions behind it take, with the same defaults."""

import inspect
from importlib import import_module

import pytest

from mrgantry.cli import VERBS
from mrgantry.data.exchange.plan import ImportPlan
from mrgantry.data.plan import SlicePlan
from mrgantry.papers.reproduction import UserChanges

EMPTY = inspect.Parameter.empty
# The function of each verb, what an option is called there, and what only programs give it.
FUNCTIONS = {
    "guide": ("workflows.guide.guide", {}, set()),
    "simulate": ("simulation.simulate", {"sequence": "sequences"}, set()),
    "inspect": ("data.inspection.inspect", {"sequence": "sequences"}, set()),
    "train": ("generate.train", {"changes": "recipe", "start": "recipe"}, {"on_snapshot"}),
    "sample": ("generate.sample", {"label": "labels", "changes": "how"}, {"batch"}),
    "refine": ("refinement.refine", {}, set()),
    "walk": ("generate.walk", {"label": "labels"}, set()),
    "project": ("generate.project", {"split": "splits", "id": "ids"}, set()),
    "export": ("data.exchange.export.export", {}, set()),
    "select": ("evaluation.select", {}, set()),
    "evaluate": ("evaluation.evaluate", {}, {"floors"}),
    "sensitivity": ("evaluation.sensitivity", {"fault": "faults"}, set()),
    "compare": ("workflows.compare.compare", {"recipe": "recipes"}, {"say"}),
    "detect": (
        "detection.detect",
        {"condition": "conditions", "changes": "training"},
        {"classical", "say"},
    ),
    "segment": (
        "segmentation.segment",
        {"condition": "conditions", "changes": "training"},
        {"classical", "say"},
    ),
    "report": ("pages.report", {}, set()),
    "demo": ("workflows.demo.demo", {}, {"say"}),
}
# Verbs whose options make a plan: its fields, and what an option is called there.
PLANS = {
    "prepare": (
        "data.prepare",
        SlicePlan,
        {
            "sequence": "sequences",
            "pool": "combine",
            "channels": "combine",
            "which": "slices",
            "synthetic": "generated",
            "made_by": "generated",
            "trained_on": "generated",
        },
        "plan",
    ),
    "import": ("data.exchange.imports.import_slices", ImportPlan, {"values": "range"}, "plan"),
    "reproduce": (
        "workflows.reproduce.reproduce",
        UserChanges,
        {"scale": "study", "alternative": "study"},
        "study",
    ),
}


def defaults_of(function):
    return {name: found.default for name, found in inspect.signature(function).parameters.items()}


def behind(place):
    module, _, name = f"mrgantry.{place}".rpartition(".")
    return defaults_of(getattr(import_module(module), name))


def alike(option, default):
    """An option that is not given is None, and several values stand between colons."""
    if option is None or EMPTY in (option, default) or option == default:
        return True
    return isinstance(default, tuple) and option == ":".join(f"{value:g}" for value in default)


def test_every_verb_is_held_to_its_function():
    assert FUNCTIONS.keys() | PLANS.keys() | {"recipes"} == VERBS.keys()


@pytest.mark.parametrize("verb", FUNCTIONS)
def test_options_are_those_of_the_function(verb):
    place, names, inner = FUNCTIONS[verb]
    options, wanted = defaults_of(VERBS[verb][0]), behind(place)
    assert {names.get(option, option) for option in options} == wanted.keys() - inner
    for option, default in options.items():
        assert option in names or alike(default, wanted[option]), option


@pytest.mark.parametrize("verb", PLANS)
def test_options_are_fields_of_the_plan(verb):
    place, plan, names, argument = PLANS[verb]
    options, wanted = defaults_of(VERBS[verb][0]), behind(place)
    fields = {name: field.default for name, field in plan.model_fields.items()}
    known = (wanted.keys() - {argument, "say"}) | fields.keys() | set(names.values()) | {"study"}
    assert {names.get(option, option) for option in options} <= known
    taken = {names.get(option, option) for option in options}
    if "voxels" in fields:  # `--size` gives one number or, of volumes, three
        assert options.pop("size") == f"{fields['size']}"
        taken.add("voxels")
    assert fields.keys() <= taken
    for option, default in options.items():
        if option not in names and option in fields:
            assert alike(default, fields[option]), option
