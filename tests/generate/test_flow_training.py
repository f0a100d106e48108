"""Flows are trained, stopped, resumed, lengthened and begun with other weights."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from conftest import blobs, write_slices
from mrgantry.common.errors import RecipeError, RunError
from mrgantry.generate import Run, project, sample, train, walk
from mrgantry.generate.start import Description, find_start, save_start
from mrgantry.generate.stop import Stop, Watch, even_normals
from recipes import SMALL, SMALL_FLOW

BRIEF = SMALL_FLOW.set(["images=64"])
WATCHED = SMALL_FLOW.model_copy(update={"stop": Stop(every=80, least=160, patience=0.5)})


class StopHere(Exception):
    pass


def stop_at(images):
    def stop(run, seen):
        if seen >= images:
            raise StopHere

    return stop


def weights(run):
    return {path.name: path.read_bytes() for path in (run / "weights").iterdir()}


def log_of(run):
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in row if key != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Slices of six training subjects and three of validation."""
    folder = tmp_path_factory.mktemp("flows") / "slices"
    subjects = [f"s{number // 6}" for number in range(54)]
    splits = ["train"] * 36 + ["validation"] * 18
    tumours = ["yes" if number % 2 else "no" for number in range(54)]
    return write_slices(folder, blobs(54), subjects, splits, tumour=tumours)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Random images: those of some people teach nothing about others."""
    images = np.random.default_rng(0).uniform(-1, 1, (16, 1, 16, 16)).astype(np.float16)
    subjects = [f"s{i // 2}" for i in range(16)]
    folder = tmp_path_factory.mktemp("noise") / "slices"
    return write_slices(folder, images, subjects, ["train"] * 8 + ["validation"] * 8)


@pytest.mark.parametrize("recipe", [SMALL_FLOW, WATCHED, SMALL_FLOW.set(["precision=bf16"])])
def test_a_resumed_run_equals_an_uninterrupted_one(data, tmp_path, recipe):
    train(data.folder, tmp_path / "whole", recipe)
    for images in (100, 300):
        with pytest.raises(StopHere):
            train(data.folder, tmp_path / "parts", recipe, on_snapshot=stop_at(images))
    train(data.folder, tmp_path / "parts", recipe)
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")
    assert log_of(tmp_path / "whole") == log_of(tmp_path / "parts")


def test_training_brings_images_near_the_data(data, tmp_path):
    recipe = SMALL_FLOW.set(["images=4800", "steps=8"])
    train(data.folder, tmp_path / "run", recipe)
    made = sample(tmp_path / "run", tmp_path / "out", 64)
    real = data.images.astype(np.float32)
    away = np.abs(made.images.astype(np.float32).mean(0) - real.mean(0)).mean()
    # Black is this far from the mean; seven tenths of that are left after a tenth of the images.
    assert away < 0.4 * np.abs(real.mean(0) + 1).mean()
    errors = [row["velocity_error"] for row in Run.open(tmp_path / "run").log()]
    assert np.mean(errors[-10:]) < np.mean(errors[:10]) / 2


def test_an_image_follows_from_its_seed_alone(data, tmp_path):
    train(data.folder, tmp_path / "run", BRIEF)
    together = sample(tmp_path / "run", tmp_path / "a", 12)
    assert (tmp_path / "a/preview.png").is_file()
    later = sample(tmp_path / "run", tmp_path / "b", 3, seed=6, batch=2)
    np.testing.assert_allclose(together.images[6:9], later.images, atol=4e-3)


def test_how_to_draw_is_chosen_and_written_down(data, tmp_path):
    train(data.folder, tmp_path / "run", BRIEF)
    made = sample(tmp_path / "run", tmp_path / "a", 2, how=["steps=3", "method=heun"])
    how = {"method": "heun", "steps": 3, "spacing": "ends", "guidance": 1.0}
    assert made.about.choices["sampler"] == how
    assert made.about.command.endswith("--set steps=3 --set method=heun")
    with pytest.raises(RecipeError, match=r"Unknown key 'sampler\.stps'"):
        sample(tmp_path / "run", tmp_path / "b", 2, how=["stps=3"])
    train(data.folder, tmp_path / "gan", SMALL.set(["images=64"]))
    with pytest.raises(RecipeError, match="draws in one step: there is nothing to set"):
        sample(tmp_path / "gan", tmp_path / "b", 2, how=["steps=3"])


def test_labels_are_told_and_drawn(data, tmp_path):
    recipe = SMALL_FLOW.set(["images=64", 'labels=["tumour"]'])
    run = train(data.folder, tmp_path / "run", recipe)
    inputs, _ = run.inputs(range(3), ["tumour=yes"])
    assert inputs.shape == (3, 256 + 2)
    made = sample(run.folder, tmp_path / "out", 4, labels=["tumour=yes"], how=["guidance=2"])
    assert set(made.table["tumour"]) == {"yes"}


def test_a_flow_is_walked_and_inverted(data, tmp_path):
    run = train(data.folder, tmp_path / "run", SMALL_FLOW)
    walked = walk(run.folder, tmp_path / "walk", (0, 1), 5)
    assert walked.method == "spherical" and len(walked.table) == 5
    done = project(run.folder, data.folder, tmp_path / "out", 3, ["train", "validation"])
    assert done.table["rmse"].max() < 0.05  # there and back
    assert np.load(tmp_path / "out/latents.npy").shape == (6, 256)
    assert done.overfitting.error == "velocity error" and "velocity error" in done.verdict
    again = project(run.folder, data.folder, tmp_path / "again", ids=[done.table["id"][0]])
    assert again.table["velocity_error"][0] == pytest.approx(
        done.table["velocity_error"][0], rel=1e-3
    )


def test_a_flow_that_learnt_its_people_by_heart_shows_it(tmp_path):
    few = write_slices(
        tmp_path / "s", blobs(16), [f"s{i // 2}" for i in range(16)], ["train"] * 8 + ["test"] * 8
    )
    run = train(few.folder, tmp_path / "run", SMALL_FLOW.set(["images=6400"]))
    found = project(run.folder, few.folder, tmp_path / "out", 8, steps=4).overfitting
    assert found.ratio > 1.2 and found.p < 0.05


class TestStopping:
    def test_the_rule(self):
        stop, watch = Stop(every=100, patience=1.0, least=300), Watch()
        assert watch.note([1.0], 1.0, 100) and not stop.is_over(watch, 200)
        assert not watch.note([1.0], 0.9, 300) and not stop.is_over(watch, 399)
        assert stop.is_over(watch, 400)
        assert (
            watch.note([0.9], 0.9, 500)
            and not stop.is_over(watch, 999)
            and stop.is_over(watch, 1000)
        )
        assert stop.next_look(500) == 600 and stop.next_look(50_000) == 55_000

    def test_a_gain_counts_only_beyond_the_choice_of_people(self):
        watch = Watch()
        assert watch.note([1.0, 2.0, 3.0, 4.0], 2.0, 100)
        assert not watch.note([0.6, 2.3, 2.7, 4.3], 2.0, 200)  # two are better, two worse
        assert watch.best_images == 100
        assert watch.note([0.9, 1.9, 2.9, 3.9], 2.0, 300)  # all are a little better
        assert not watch.note([1.0, 2.0, 3.0, 4.0], 2.0, 400) and watch.best_images == 300

    def test_a_gain_counts_only_if_others_share_it(self):
        watch = Watch()
        assert watch.note([1.0, 1.2], 1.0, 100, shared=0.5)
        # Training people have gained 0.3, others 0.1: mostly their own features were learnt.
        assert not watch.note([0.9, 1.1], 0.7, 200, shared=0.5)
        assert watch.best_images == 100
        assert watch.note([0.9, 1.1], 0.85, 300, shared=0.5)
        # From that look on: 0.05 of 0.1. Where training people lose, any gain counts.
        assert not watch.note([0.86, 1.06], 0.75, 400, shared=0.5)
        assert watch.note([0.89, 1.09], 0.9, 500, shared=0.5)

    def test_while_the_rate_falls_the_better_of_two_looks_counts(self):
        watch = Watch()
        assert watch.note([1.0, 1.2], 1.0, 80)
        watch.cool(100, 50)
        assert watch.is_cooling and watch.due == 125
        assert watch.cooled(100) == 0 and watch.cooled(125) == 0.5
        # Of two looks meanwhile, the better one counts, though it be better by little.
        assert watch.note_fallen([1.0, 1.1]) and watch.due == 150
        assert not watch.note_fallen([1.0, 1.15]) and watch.lowest == pytest.approx(1.05)
        watch.go_on()
        assert not watch.is_cooling

    def test_before_the_recipes_end_the_rate_falls_from_the_best_look(self, noise, tmp_path):
        # Long before it would have ended by itself: its patience is great.
        stop = Stop(every=80, least=100_000, cool_down=0.5)
        recipe = SMALL_FLOW.model_copy(update={"stop": stop}).set(["images=1600"])
        run = train(noise.folder, tmp_path / "run", recipe)
        watch = torch.load(run.folder / "state.pt", weights_only=True)["watch"]
        first, last = watch["cools"]
        assert run.images == last == 1600 and not run.stopped
        assert 0 <= first - (1600 - watch["best_images"] // 2) < recipe.batch
        # Made longer, it learns on at the full rate, and can go back again.
        longer = train(noise.folder, run.folder, recipe.set(["images=3200"]))
        assert longer.images == 3200 and not longer.stopped

    def test_it_ends_by_itself_keeps_the_best_and_says_why(self, noise, tmp_path):
        recipe = WATCHED.set(["images=64000"])
        run = train(noise.folder, tmp_path / "run", recipe)
        assert run.images < 64_000 and "Training ended by itself" in run.stopped
        assert not run.unfinished and not (run.folder / "best.pt").exists()
        with safe_open(run.folder / "weights/kept.safetensors", "pt") as file:
            kept_at = int(file.metadata()["begun"])
        best, then, now = re.search(
            r"since ([\d,]+) it.*people (\S+) then, (\S+) now\)", run.stopped
        ).groups()
        best = int(best.replace(",", ""))
        assert 0 < best < run.images
        # While the rate falls it looks half-way and at the end; the better of all looks is kept.
        assert kept_at == best if float(now) == float(then) else best < kept_at <= run.images
        kept = load_file(run.folder / "weights/kept.safetensors")
        network = run.generator().network.state_dict()
        assert all(torch.equal(kept[key], network[key]) for key in kept)
        # The same command is done; told not to stop, it goes on from where it was.
        assert train(noise.folder, tmp_path / "run", recipe).images == run.images
        longer = run.images + 80
        on = recipe.set(["stop=null", f"images={max(longer, 64_000)}"])
        with pytest.raises(StopHere):
            train(noise.folder, tmp_path / "run", on, on_snapshot=stop_at(longer))
        assert not Run.open(tmp_path / "run").stopped
        last = load_file(run.folder / "weights/ema.safetensors")
        drawn = Run.open(tmp_path / "run").generator().network.state_dict()
        assert all(torch.equal(last[key], drawn[key]) for key in last)

    def test_killed_while_the_rate_falls_it_ends_as_it_would_have(self, noise, tmp_path):
        stop = Stop(every=80, least=160, patience=0.5, cool_down=4)
        recipe = SMALL_FLOW.model_copy(update={"stop": stop}).set(["images=6400"])
        run = train(noise.folder, tmp_path / "whole", recipe)
        assert run.stopped
        for images in range(320, run.images, 320):
            with pytest.raises(StopHere):
                train(noise.folder, tmp_path / "parts", recipe, on_snapshot=stop_at(images))
        assert train(noise.folder, tmp_path / "parts", recipe).stopped == run.stopped
        assert weights(tmp_path / "whole") == weights(tmp_path / "parts")
        assert log_of(tmp_path / "whole") == log_of(tmp_path / "parts")

    def test_a_run_that_has_nothing_to_go_back_to_goes_on(self, noise, tmp_path):
        recipe = WATCHED.set(["images=6400"])
        with pytest.raises(StopHere):
            train(noise.folder, tmp_path / "run", recipe, on_snapshot=stop_at(320))
        (tmp_path / "run/best.pt").unlink()  # as in runs of before there were any
        assert train(noise.folder, tmp_path / "run", recipe).stopped

    def test_without_others_it_goes_to_the_end_and_says_so(self, tmp_path, caplog):
        few = write_slices(tmp_path / "s", blobs(8), list("aabbccdd"), ["train"] * 8)
        train(few.folder, tmp_path / "run", WATCHED.set(["images=320"]))
        assert "holds nobody back for validation" in caplog.text
        assert not (tmp_path / "run/weights/kept.safetensors").exists()

    def test_labels_that_no_training_slice_had_are_not_looked_at(self, tmp_path):
        tumours = ["no", "yes"] * 4 + ["unclear", "no"] * 4
        people, splits = [f"s{i // 2}" for i in range(16)], ["train"] * 8 + ["validation"] * 8
        few = write_slices(tmp_path / "s", blobs(16), people, splits, tumour=tumours)
        recipe = WATCHED.set(['labels=["tumour"]', "images=64"])
        assert train(few.folder, tmp_path / "run", recipe).images == 64
        assert "held_out_error" in {key for row in Run.open(tmp_path / "run").log() for key in row}


class TestLength:
    def test_a_run_is_made_longer(self, data, tmp_path):
        for recipe, more in ((BRIEF, "images=128"), (SMALL.set(["images=64"]), "images=128")):
            folder = tmp_path / recipe.name
            train(data.folder, folder, recipe)
            longer = train(data.folder, folder, recipe.set([more]))
            assert longer.images == 128 and Run.open(folder).recipe.images == 128
            assert longer.facts.command.endswith("--set images=128")

    def test_but_not_shorter_nor_otherwise(self, data, tmp_path):
        train(data.folder, tmp_path / "run", BRIEF)
        with pytest.raises(RunError, match="images was 64, now 32"):
            train(data.folder, tmp_path / "run", BRIEF.set(["images=32"]))
        with pytest.raises(RunError, match=r"optimiser\.lr was"):
            train(data.folder, tmp_path / "run", BRIEF.set(["images=128", "lr=1e-4"]))

    def test_images_of_an_unfinished_run_say_so(self, data, tmp_path, caplog):
        with pytest.raises(StopHere):
            train(data.folder, tmp_path / "run", SMALL_FLOW, on_snapshot=stop_at(100))
        made = sample(tmp_path / "run", tmp_path / "out", 2)
        assert "of 640 images so far; these are what it draws by now" in caplog.text
        assert "of 640 images" in made.about.notes.unfinished


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run on other people, told of tumours."""
    folder = tmp_path_factory.mktemp("start")
    subjects = [f"other{i // 6}" for i in range(36)]
    tumours = ["yes" if i % 2 else "no" for i in range(36)]
    other = write_slices(folder / "s", blobs(36, seed=5), subjects, ["train"] * 36, tumour=tumours)
    return train(other.folder, folder / "run", BRIEF.set(['labels=["tumour"]']))


class TestStart:
    def test_it_begins_where_the_other_ended_and_tells_whose_people(self, data, first, tmp_path):
        recipe = BRIEF.set([f"start={first.folder}", "images=8", "lr=1e-9"])
        run = train(data.folder, tmp_path / "run", recipe)
        begun, ended = (load_file(r.folder / "weights/ema.safetensors") for r in (first, run))
        torch.testing.assert_close(begun["last.weight"], ended["last.weight"], atol=1e-5, rtol=0)
        assert run.facts.started_from.source == first.facts.source
        assert run.facts.started_from.training_subjects == first.facts.training_subjects
        assert set(run.facts.training_subjects) == {
            *(f"s{i}" for i in range(6)),
            *first.facts.training_subjects,
        }
        made = sample(run.folder, tmp_path / "out", 2)
        assert set(made.about.training_subjects) == set(run.facts.training_subjects)
        assert made.about.notes.started_from["name"] == str(first.folder)
        again = train(data.folder, tmp_path / "run", recipe)
        assert again.facts == run.facts

    def test_its_people_may_not_judge(self, data, first, tmp_path):
        from mrgantry.common.errors import DataError
        from mrgantry.evaluation import evaluate

        run = train(data.folder, tmp_path / "run", BRIEF.set([f"start={first.folder}"]))
        sample(run.folder, tmp_path / "synthetic", 12)
        subjects = ["new"] * 4 + [f"p{i}" for i in range(16)] + ["other2"] * 4
        real = write_slices(tmp_path / "real", blobs(24), subjects, ["train"] * 4 + ["test"] * 20)
        with pytest.raises(DataError, match="other2"):
            evaluate(real.folder, tmp_path / "scores", [tmp_path / "synthetic"])

    def test_a_file_of_weights_serves_as_well(self, data, first, tmp_path):
        save_start(tmp_path / "w.safetensors", first, "by them", "train it so")
        start = find_start(str(tmp_path / "w.safetensors"))
        assert start.labels == first.facts.labels
        run = train(data.folder, tmp_path / "run", BRIEF.set([f"start={tmp_path}/w.safetensors"]))
        assert run.facts.started_from.training_subjects == first.facts.training_subjects

    def test_details_alone_are_kept_beside_the_weights_that_they_belong_to(
        self, data, first, tmp_path
    ):
        save_start(tmp_path / "body.safetensors", first, "", "")
        recipe = BRIEF.set(
            [f"start={tmp_path}/body.safetensors", "network.learns=details", 'labels=["tumour"]']
        )
        run = train(data.folder, tmp_path / "run", recipe)
        save_start(tmp_path / "details.safetensors", run, "", "")
        kept = load_file(tmp_path / "details.safetensors")
        assert all(name.startswith(("stem.", "last")) for name in kept)
        whole = find_start(f"{tmp_path}/details.safetensors")
        assert set(whole.facts.training_subjects) == set(run.facts.training_subjects)
        assert set(first.facts.training_subjects) < set(whole.facts.training_subjects)
        # Together they are the run's weights: the body did not move.
        for name, value in load_file(run.folder / "weights/ema.safetensors").items():
            given = whole.tensors["generator"][name]
            if name in kept:
                torch.testing.assert_close(given, value, atol=1e-3, rtol=1e-3)
            else:
                assert torch.equal(given, value)

    def test_details_go_with_no_other_body_and_need_one(self, data, first, tmp_path):
        body, details = tmp_path / "body.safetensors", tmp_path / "details.safetensors"
        save_start(body, first, "", "")
        recipe = BRIEF.set(["network.learns=details"])
        with pytest.raises(RecipeError, match="needs weights to begin with"):
            train(data.folder, tmp_path / "run", recipe)
        run = train(data.folder, tmp_path / "run", recipe.set([f"start={body}"]))
        save_start(details, run, "", "make them so")
        find_start(str(details))
        save_start(body, first, "another notice", "")  # another file of the same name
        with pytest.raises(RecipeError, match="details for other weights.*again with make them so"):
            find_start(str(details))

    def test_what_does_not_fit_is_refused_in_a_sentence(self, data, first, tmp_path):
        narrow = BRIEF.set(["network.widths=[8, 16]", f"start={first.folder}"])
        with pytest.raises(RecipeError, match="does not fit: it is another network"):
            train(data.folder, tmp_path / "run", narrow)
        assert not (tmp_path / "run").exists()
        gan = SMALL.set([f"start={first.folder}"])
        with pytest.raises(RecipeError, match="holds no critic, so no GAN can start from it"):
            train(data.folder, tmp_path / "run", gan)
        with pytest.raises(RecipeError, match="Did you mean 'heads-64'"):
            find_start("heads-46")

    def test_a_gan_begins_with_a_gan(self, data, tmp_path):
        first = train(data.folder, tmp_path / "first", SMALL.set(["images=64"]))
        recipe = SMALL.set(["images=8", "lr=1e-9", f"start={first.folder}"])
        run = train(data.folder, tmp_path / "run", recipe)
        for name in ("generator", "critic"):
            path = f"weights/{name}.safetensors"
            ours, theirs = load_file(first.folder / path), load_file(run.folder / path)
            for key, value in ours.items():
                if value.is_floating_point() and "running" not in key:
                    torch.testing.assert_close(value, theirs[key], atol=1e-5, rtol=0)
        with pytest.raises(RecipeError, match="does not fit"):
            train(data.folder, tmp_path / "b", recipe.set(["network.latent=9"]))

    def test_a_foreign_file_is_never_unpickled(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (pytest.fail, ("it was unpickled",))

        torch.save({"trap": Trap()}, tmp_path / "trap.safetensors")
        with pytest.raises(RecipeError, match="is no safetensors file of weights"):
            find_start(str(tmp_path / "trap.safetensors"))

    def test_a_damaged_or_silent_file_is_refused(self, first, tmp_path):
        path = tmp_path / "w.safetensors"
        save_start(path, first, "", "")
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(RecipeError, match="a damaged one"):
            find_start(str(path))
        save_file({"a": torch.zeros(1)}, path)
        with pytest.raises(RecipeError, match="does not say what network it is of"):
            find_start(str(path))

    def test_an_address_needs_its_hash_and_is_checked(self, first, tmp_path, monkeypatch):
        import hashlib

        with pytest.raises(RecipeError, match="needs the hash of its file behind it"):
            find_start("https://example.org/w.safetensors")
        path = tmp_path / "w.safetensors"
        save_start(path, first, "", "")
        mark = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setenv("MRGANTRY_WEIGHTS", str(tmp_path))
        (tmp_path / f"{mark[:16]}-w.safetensors").write_bytes(path.read_bytes())
        assert find_start(f"https://example.org/w.safetensors#sha256={mark}").labels
        (tmp_path / f"{mark[:16]}-w.safetensors").write_bytes(b"other")
        with pytest.raises(RecipeError, match="has another hash"):
            find_start(f"https://example.org/w.safetensors#sha256={mark}")

    def test_a_description_is_complete(self):
        assert set(Description.keys()) >= {"source", "training_subjects", "notice", "labels"}


def test_times_looked_at_are_spread_evenly():
    assert even_normals(101).mean().abs() < 1e-5
