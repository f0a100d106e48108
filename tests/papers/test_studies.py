"""The recipes have what the papers and the authors' programs say."""

import pytest
import torch

from mrgantry.common.errors import RecipeError
from mrgantry.detection.effects import unpaired
from mrgantry.generate.losses import Dragan, LeastSquares, Original, WassersteinPenalty
from mrgantry.generate.recipe import Adam
from mrgantry.generate.schedule import Growing, Steps
from mrgantry.papers import (
    RECIPES,
    STUDIES,
    delplace2020,
    find_recipe,
    find_study,
    han2018,
    han2018_pggan,
    kazuhiro2018,
)
from mrgantry.papers.reproduction import SCALES

SLICES = 11_328


class TestDelplace2020:
    def test_three_architectures_under_five_losses(self):
        published = [
            recipe
            for recipe in delplace2020.RECIPES
            if recipe.size == 256 and recipe.variant == "published"
        ]
        assert len(published) == 15
        assert {(one.network.kind, one.loss.kind) for one in published} == {
            (network, loss)
            for network in ("delplace-dcgan", "srresnet", "progressive")
            for loss in ("original", "lsgan", "wgan", "wgangp", "dragan")
        }

    @pytest.mark.parametrize(
        ("name", "generator_steps", "adam", "epochs"),
        [
            ("dcgan-dragan", 3, Adam(lr=2e-4, beta1=0.5), 60),
            ("srresnet-dragan", 2, Adam(lr=2e-4, beta1=0.5), 60),
            ("progan-wgangp", 1, Adam(lr=1e-3, beta1=0), 20 * 13),
        ],
    )
    def test_table_of_settings(self, name, generator_steps, adam, epochs):
        recipe = find_recipe(f"delplace2020-{name}-256")
        assert recipe.steps.generator == generator_steps and recipe.steps.critic == 1
        assert recipe.optimiser == adam
        assert recipe.images == epochs * SLICES and recipe.batch == 64
        assert recipe.ema is None and recipe.labels == ()

    def test_the_dense_layer_has_1024_outputs_as_published_and_1025_as_coded(self):
        outputs = {}
        for variant in ("", "-coded", "-corrected"):
            recipe = find_recipe(f"delplace2020-dcgan-dragan-256{variant}")
            with torch.device("meta"):
                dense = recipe.network.critic(256, 1)[-3]
            outputs[variant] = (dense.in_features, dense.out_features)
        assert outputs == {
            "": (1025 * 64, 1024),
            "-coded": (1025 * 64, 1025),
            "-corrected": (1025 * 64, 1025),
        }

    def test_png_is_the_programs(self):
        assert "8-bit PNG in the program" in find_study("delplace2020").said.slices

    def test_labels_are_smoothed_for_both_networks(self):
        assert find_recipe("delplace2020-progan-original-256").loss == Original(
            real_target=0.9, fake_target=0.9
        )
        dragan = find_recipe("delplace2020-dcgan-dragan-256").loss
        assert (dragan.real_target, dragan.fake_target) == (0.9, 0.9)

    def test_what_the_programs_do_otherwise(self):
        dcgan = find_recipe("delplace2020-dcgan-dragan-256-coded")
        assert dcgan.loss == Dragan(
            real_target=0.9, fake_target=0.9, points="delplace-coded-dcgan", weight=0.25
        )
        assert dcgan.steps == Steps(generator=3, redraw=False)
        assert dcgan.images == 20 * SLICES
        srresnet = find_recipe("delplace2020-srresnet-dragan-256-coded")
        assert srresnet.network.down_kernel == 4 and srresnet.loss.points == "delplace-coded"
        progan = find_recipe("delplace2020-progan-wgangp-256-coded")
        assert progan.loss == WassersteinPenalty(weight=0.25, drift=0.001)
        assert progan.schedule == Growing()
        assert not progan.network.pixel_norm and progan.network.prior == "unit-sphere"
        assert progan.network.last_gain == 2**0.5

    def test_ablations_change_one_part_of_the_best_recipe_of_each_architecture(self):
        changes = {}
        for recipe in delplace2020.ablations(64):
            assert find_recipe(recipe.name) == recipe
            if recipe.variant == "published":
                best = recipe
            else:
                keys = {change.split(" was ")[0] for change in recipe.differences(best)}
                (changes[recipe.name.removeprefix("delplace2020-")],) = keys - {"name", "variant"}
        assert changes == {
            "dcgan-dragan-64-noise": "noise",
            "dcgan-dragan-64-no-minibatch": "network.minibatch_std",
            "dcgan-dragan-64-normal": "network.prior",
            "srresnet-dragan-64-noise": "noise",
            "srresnet-dragan-64-minibatch": "network.minibatch_std",
            "srresnet-dragan-64-uniform": "network.prior",
            "progan-wgangp-64-noise": "noise",
            "progan-wgangp-64-no-minibatch": "network.minibatch_std",
            "progan-wgangp-64-uniform": "network.prior",
        }

    def test_corrected_are_the_programs_without_their_mistakes(self):
        assert find_recipe("delplace2020-dcgan-dragan-64-corrected").loss.points == "kodali"
        progan = find_recipe("delplace2020-progan-wgangp-64-corrected")
        assert progan.network.pixel_norm and progan.loss.weight == 0.25


def test_kazuhiro2018():
    recipe = find_recipe("kazuhiro2018-dcgan-128")
    assert recipe.images == 35 * 2_328_480
    assert (recipe.network.latent, recipe.network.prior) == (100, "uniform")
    assert recipe.optimiser == Adam(lr=2e-4, beta1=0.5) and recipe.loss == Original()
    assert kazuhiro2018.plan().plane == "oblique"
    cohort = kazuhiro2018.STUDY.cohort
    assert (cohort.disease, cohort.t1) == ("stroke", "kazuhiro2018")
    healthy = round(cohort.subjects * cohort.healthy)
    volumes = healthy * cohort.healthy_visits + (cohort.subjects - healthy) * cohort.visits
    assert (healthy, cohort.subjects - healthy, volumes) == (30, 33, 96)


def fits(row, real, of=50):
    """Say whether whole numbers of images give a printed row's rates, in whole percent."""
    counts = (real, of - real)
    return all(
        any(abs(100 * k / count - rate) <= 0.5 for k in range(count + 1))
        for count, rate in zip(counts, (row.counts[0], row.counts[2]))
    )


def test_the_notes_on_kazuhiro2018_say_which_rates_fit_sessions_of_50():
    splits = {
        row.label: [real for real in range(20, 31) if fits(row, real)]
        for row in kazuhiro2018.PRINTED.rows
    }
    assert splits == {"NR1": [], "NR2": [], "NNR1": [21, 29], "NNR2": [30], "NNR3": []}
    at_study = next(note for note in kazuhiro2018.STUDY.notes if "Sessions of 50" in note)
    assert "do not fit those of NR1, NR2 and NNR3" in at_study
    at_table = next(note for note in kazuhiro2018.PRINTED.notes if "Sessions of 50" in note)
    assert "fit the rates of NNR1 (21 or 29 real) and NNR2 (30 real), and no other" in at_table


def test_the_notes_on_han2018_pggan_have_the_intervals_of_the_printed_table():
    table = han2018_pggan.PRINTED_DETECTION
    rows = {row.label: row for row in table.rows}
    note = next(one for one in han2018_pggan.STUDY.notes if "91.08" in one)
    for one, other in table.compared:
        _, low, high = unpaired(rows[one].right, rows[other].right, rows[one].n)
        assert f"{100 * low:+.1f} to {100 * high:+.1f}".replace("-", "−") in note
    gain = rows["200k classical + 200k PGGAN"].right - rows["200k classical"].right
    assert f"{gain} images of {rows['200k classical'].n:,}" in note


@pytest.mark.parametrize("scale", SCALES)
def test_classifiers_of_han2018_pggan_see_224_of_256_pixels(scale):
    study = find_study("han2018-pggan").at(scale)
    assert study.detection.training.crop * 256 == 224
    assert study.detection.ratios == ((1.0, 22.5) if scale == "paper" else (1.0,))
    real = han2018_pggan.TUMOUR_SLICES + han2018_pggan.OTHER_SLICES
    assert round(200_000 / real, 1) == han2018_pggan.RATIO


def test_han2018_pggan():
    recipe = find_recipe("han2018-pggan-256")
    assert recipe.images == 100 * 5_036 and recipe.batch == 16
    assert recipe.optimiser == Adam(lr=1e-3, beta1=0, beta2=0.99)
    assert recipe.loss == WassersteinPenalty(weight=10, drift=0.001)
    assert find_recipe("han2018-pggan-256-original").images == 13 * 600_000
    plan = han2018_pggan.plan()
    assert (plan.size, plan.field_mm, plan.slices) == (256, 256, "30:131")


def sentences(study):
    """Give all that the page of a study says of its paper."""
    texts = [*study.notes, *study.said.model_dump().values()]
    for table in study.reading.printed:
        texts += [table.title, *table.notes]
    return " ".join([*texts, *study.detection.printed.notes])


def test_what_han2018_pggan_says_of_discarding_and_of_its_reader():
    text = sentences(find_study("han2018-pggan"))
    # A quarter failed by eye; how many were discarded is unsaid.
    assert "additional to the real" in text and "is unsaid" in text
    assert "25 % failed" in text and "share of quality" in text
    for false in ("about 25 %, were discarded", "a quarter discarded", "in their place is unsaid"):
        assert false not in text
    assert "whose tumour is too small" not in text and "too small or too big" in text
    assert "one expert physician" in text
    assert find_study("han2018-pggan").reading.seats[0].paper == "an expert physician"


class TestAlternatives:
    @pytest.mark.parametrize(
        ("study", "alternative"),
        [
            (study.study, alternative.name)
            for study in STUDIES.values()
            for alternative in study.alternatives
        ],
    )
    def test_each_changes_what_it_says_and_fits_at_every_scale(self, study, alternative):
        published = find_study(study)
        taken = published.read_as([alternative])
        meant = next(other for other in published.alternatives if other.name == alternative)
        if not meant.own_epochs:
            types = zip(taken.image_types, published.image_types)
            recipes = zip(taken.models(), published.models())
            assert any(now.plan != before.plan for now, before in types) or any(
                now.trained.differences(before.trained) for (_, now), (_, before) in recipes
            )
        for scale in SCALES:
            if meant.own_epochs and scale != "paper":
                with pytest.raises(RecipeError, match="is for --scale paper"):
                    taken.at(scale)
                continue
            for image_type, model in taken.at(scale).models():
                assert model.trained.size == image_type.plan.size

    def test_the_values(self):
        def recipe(study, alternative, model):
            models = find_study(study).read_as([alternative]).models()
            return next(found.trained for _, found in models if found.name == model)

        plain = recipe("han2018", "plain-wgan", "t1-128-wgan").network
        assert (plain.width, plain.critic_activation, plain.output) == (1024, "leaky", "tanh")
        elu = recipe("han2018", "plain-wgan", "t1-128-dcgan").network
        assert (elu.width, elu.critic_activation, elu.output) == (512, "elu", "linear")
        assert recipe("han2018", "uniform-latents", "t1-128-dcgan").prior == "uniform"
        assert recipe("han2018", "saturating-loss", "t1-128-dcgan").loss.saturating
        outputs = recipe("kazuhiro2018", "filters-as-outputs", "dcgan").network
        assert outputs.filters == "outputs"
        assert recipe("kazuhiro2018", "size-256", "dcgan").size == 256
        smooth = recipe("delplace2020", "lsgan-smoothed", "srresnet-lsgan").loss
        assert smooth == LeastSquares(real_target=0.9, fake_target=0.9)
        sigmoid = recipe("delplace2020", "lsgan-sigmoid", "srresnet-lsgan").loss
        assert sigmoid == LeastSquares(sigmoid=True)
        assert recipe("delplace2020", "no-drift", "progan-wgangp").loss.drift == 0
        assert find_recipe("delplace2020-progan-wgangp-256").loss.drift == 0.001
        assert recipe("delplace2020", "lambda-as-coded", "dcgan-dragan").loss.weight == 0.25
        assert not recipe("delplace2020", "no-minibatch-layer", "dcgan-wgan").network.minibatch_std

    def test_fixed_ranges_lose_no_slice_and_padding_lies_on_the_image(self):
        assert han2018.plan("t1-128").min_brain == 0 == han2018_pggan.plan().min_brain
        assert han2018_pggan.plan().field_on == "image"
        other = find_study("han2018-pggan").read_as(["padded-round-the-brain", "drop-small-slices"])
        assert other.image_types[0].plan.field_on == "brain"
        assert other.image_types[0].plan.min_brain == 0.1

    def test_unknown_ones_are_refused(self):
        with pytest.raises(RecipeError, match="Did you mean 'uniform-latents'"):
            find_study("han2018").read_as(["uniform-latent"])


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_names_say_size_and_variant(recipe):
    if recipe.variant not in {None, "published"}:
        assert recipe.name.endswith(f"-{recipe.size_name}-{recipe.variant}")
    elif recipe.name != "demo":
        assert recipe.name.endswith(f"-{recipe.size_name}")


class TestFindRecipe:
    def test_a_change_behind_a_name_belongs_to_it(self):
        plain, changed = (
            find_recipe(f"han2018-dcgan-64{more}") for more in ("", " vat=1 batch=16")
        )
        assert (changed.vat, changed.batch, changed.changes) == (1, 16, ())
        assert changed.name == "han2018-dcgan-64 vat=1 batch=16" and plain.vat == 0
        assert find_recipe(changed.name) == changed

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [("", "recipe ''"), ("han vat=1", "recipe 'han'"), ("han2018-dcgan-64 vta=1", "vta")],
    )
    def test_mistakes(self, name, sentence):
        with pytest.raises(RecipeError, match=sentence):
            find_recipe(name)
