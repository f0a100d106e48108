import pytest

from mrgantry.common.errors import RecipeError
from mrgantry.generate.losses import Dragan
from mrgantry.generate.recipe import GanRecipe, read_recipe
from mrgantry.generate.schedule import Steps
from mrgantry.papers import RECIPES, find_recipe

GANS = [recipe for recipe in RECIPES.values() if isinstance(recipe, GanRecipe)]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_written_and_read_back_the_same(name):
    recipe = find_recipe(name)
    assert recipe.name == name
    assert read_recipe(recipe.model_dump(mode="json"), "recipe") == recipe


def test_values_are_changed_by_path_or_by_their_last_word():
    recipe = find_recipe("gantry-gan-64").set(
        ["images=20000", "network.width=64", "lr=1e-4", "ema=null"]
    )
    assert (recipe.images, recipe.network.width, recipe.optimiser.lr, recipe.ema) == (
        20000,
        64,
        1e-4,
        None,
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("imges=5", "Unknown key 'imges' in the recipe gantry-gan-64. Did you mean 'images'?"),
        ("network.widht=5", r"Did you mean 'network\.width'"),
        ("kind=dcgan", "The kind of the recipe gantry-gan-64 is not to be changed"),
        ("beta1=x", "optimiser.* is 'x'"),
        ("images", "must read key=value"),
        ("variant=coded", "The variant of the recipe gantry-gan-64 is not to be changed"),
        ("name=mine", "The name of the recipe gantry-gan-64 is not to be changed"),
        ("images=many", "'images' of the recipe gantry-gan-64 is 'many'"),
        ("lr=-1", r"optimiser.* is -1"),
        ("batch=0", "'batch' of the recipe gantry-gan-64 is 0"),
    ],
)
def test_a_wrong_change_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(RecipeError, match=sentence):
        find_recipe("gantry-gan-64").set([change])


def test_impossible_combinations_cannot_be_written():
    values = find_recipe("han2018-wgan-64").model_dump()
    values["loss"] = {"kind": "original", "clip": 0.01}
    with pytest.raises(RecipeError, match="clip"):
        read_recipe(values, "recipe")


def test_an_unknown_recipe_is_refused():
    with pytest.raises(RecipeError, match="Did you mean 'han2018-dcgan-64'"):
        find_recipe("han2018-dcgan-46")


def test_parts_are_exchanged_and_taken_away():
    recipe = find_recipe("gantry-gan-64").set(
        ["augment=null", "loss=dragan", "weight=0.25", 'steps={"generator": 2}']
    )
    assert recipe.augment is None and recipe.steps == Steps(generator=2)
    assert recipe.loss == Dragan(weight=0.25)
    assert recipe.set(['augment={"start": 0.2}']).augment.start == 0.2


def test_flows_are_changed_as_well():
    recipe = find_recipe("gantry-64").set(
        ["start=null", "stop=null", "shift=2", "steps=8", "network.widths=[8, 16]", "lr=1e-4"]
    )
    assert recipe.start is None and recipe.stop is None and recipe.flow.shift == 2
    assert (recipe.sampler.steps, recipe.network.widths) == (8, (8, 16))
    with pytest.raises(RecipeError, match="Unknown key 'loss'"):
        recipe.set(["loss=wgan"])


def test_the_rate_of_learning_rises_and_falls():
    recipe = find_recipe("gantry-64").set(
        ["images=10000", "warm_up=320", "cool_down=0.5", "batch=32"]
    )
    assert [recipe.rate(images) for images in (0, 160, 320, 5000)] == [0.1, 0.6, 1.0, 1.0]
    assert recipe.rate(7500) == 0.5 and recipe.rate(10_000) == 0.05


def test_a_recipe_of_before_is_a_gan():
    values = find_recipe("han2018-wgan-64").model_dump()
    del values["kind"]
    assert read_recipe(values, "recipe") == find_recipe("han2018-wgan-64")
    with pytest.raises(RecipeError, match="Unknown kind 'gam'"):
        read_recipe(values | {"kind": "gam"}, "recipe")


@pytest.mark.parametrize("recipe", GANS, ids=lambda recipe: recipe.name)
def test_no_recipe_is_too_short_for_its_own_start(recipe):
    assert recipe.steps.fitting(recipe.images // recipe.batch) is recipe.steps


def test_wgan_takes_many_critic_steps_at_first_and_every_500th():
    steps = find_recipe("han2018-wgan-64").steps
    assert [steps.of_round(step) for step in (0, 24, 25, 499, 500, 501)] == [100, 100, 5, 5, 100, 5]
    assert Steps().of_round(0) == 1


def test_han2018_is_as_the_paper_says():
    dcgan, wgan = find_recipe("han2018-dcgan-64"), find_recipe("han2018-wgan-64")
    assert (dcgan.batch, dcgan.optimiser.lr, dcgan.optimiser.beta1) == (64, 2e-4, 0.5)
    assert (wgan.batch, wgan.optimiser.lr, wgan.loss.clip) == (64, 5e-5, 0.01)
    assert dcgan.network == wgan.network  # "the same DCGAN architecture"
    assert dcgan.network.output == "linear" and dcgan.network.critic_activation == "elu"
    assert dcgan.ema is None


def test_many_numbers_in_a_block_get_a_level_outside():
    flow = RECIPES["gantry-64"]
    assert flow.suited(1) == flow and flow.suited(2) == flow  # four and eight numbers
    assert flow.suited(3).network.outer == (32,)
    assert flow.set(["network.outer=[]"]).suited(5).network.outer == ()
    assert flow.set(["network.patch=1"]).suited(5).network.outer == ()
    assert RECIPES["gantry-128"].suited(5) == RECIPES["gantry-128"]  # it has one
