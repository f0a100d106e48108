import pytest

from mrgantry.common.errors import RecipeError
from mrgantry.generate.losses import Dragan
from mrgantry.generate.recipe import Recipe
from mrgantry.generate.schedule import Steps
from mrgantry.papers import RECIPES, find_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_written_and_read_back_the_same(name):
    recipe = find_recipe(name)
    assert recipe.name == name
    assert Recipe.of(recipe.model_dump(mode="json"), "recipe") == recipe


def test_values_are_changed_by_path_or_by_their_last_word():
    recipe = find_recipe("demo").set(["images=20000", "network.width=64", "lr=1e-4", "ema=null"])
    assert (recipe.images, recipe.network.width, recipe.optimiser.lr, recipe.ema) == (
        20000,
        64,
        1e-4,
        None,
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("imges=5", "Unknown key 'imges' in the recipe demo. Did you mean 'images'?"),
        ("network.widht=5", r"Did you mean 'network\.width'"),
        ("kind=dcgan", "could be network.kind or loss.kind"),
        ("images", "must read key=value"),
        ("variant=coded", "The variant of the recipe demo is not to be changed"),
        ("name=mine", "The name of the recipe demo is not to be changed"),
        ("images=many", "'images' of the recipe demo is 'many'"),
        ("lr=-1", r"optimiser.* is -1"),
        ("batch=0", "'batch' of the recipe demo is 0"),
    ],
)
def test_a_wrong_change_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(RecipeError, match=sentence):
        find_recipe("demo").set([change])


def test_impossible_combinations_cannot_be_written():
    values = find_recipe("han2018-wgan-64").model_dump()
    values["loss"] = {"kind": "original", "clip": 0.01}
    with pytest.raises(RecipeError, match="clip"):
        Recipe.of(values, "recipe")


def test_an_unknown_recipe_is_refused():
    with pytest.raises(RecipeError, match="Did you mean 'han2018-dcgan-64'"):
        find_recipe("han2018-dcgan-46")


def test_parts_are_exchanged_and_taken_away():
    recipe = find_recipe("gantry-64").set(
        ["augment=null", "loss=dragan", "weight=0.25", 'steps={"generator": 2}']
    )
    assert recipe.augment is None and recipe.steps == Steps(generator=2)
    assert recipe.loss == Dragan(weight=0.25)
    assert find_recipe("demo").set(['augment={"start": 0.2}']).augment.start == 0.2


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_no_recipe_is_too_short_for_its_own_start(recipe):
    assert recipe.steps.fitting(recipe.images // recipe.batch) is recipe.steps


def test_wgan_takes_many_critic_steps_at_first_and_every_500th():
    steps = find_recipe("han2018-wgan-64").steps
    assert [steps.before(step) for step in (0, 24, 25, 499, 500, 501)] == [100, 100, 5, 5, 100, 5]
    assert Steps().before(0) == 1


def test_han2018_is_as_the_paper_says():
    dcgan, wgan = find_recipe("han2018-dcgan-64"), find_recipe("han2018-wgan-64")
    assert (dcgan.batch, dcgan.optimiser.lr, dcgan.optimiser.beta1) == (64, 2e-4, 0.5)
    assert (wgan.batch, wgan.optimiser.lr, wgan.loss.clip) == (64, 5e-5, 0.01)
    assert dcgan.network == wgan.network  # "the same DCGAN architecture"
    assert dcgan.network.output == "linear" and dcgan.network.critic_activation == "elu"
    assert dcgan.ema is None
