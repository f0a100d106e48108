"""Any loss goes with any network."""

import pytest

from conftest import blobs, write_slices
from mrgantry.generate import GanRecipe, train, training
from mrgantry.generate.losses import WassersteinPenalty
from mrgantry.generate.recipe import Adam
from mrgantry.generate.schedule import Growing, Steps
from recipes import LOSSES, NETWORKS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "slices"
    subjects = [f"s{number // 4}" for number in range(24)]
    return write_slices(folder, blobs(24, 32), subjects, ["train"] * 24)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.kind)
def test_every_pair_trains_twenty_steps(data, tmp_path, network, loss, monkeypatch):
    monkeypatch.setattr(training, "GRID", range(4))  # drawing 64 takes longer than the steps
    grows = network.kind == "progressive" and loss.kind == "wgangp"
    recipe = GanRecipe(
        name="pair",
        size=32,
        network=network,
        loss=loss,
        optimiser=Adam(lr=2e-4, beta1=0.5),
        steps=Steps(generator=2 if network.kind == "delplace-dcgan" else 1),
        schedule=Growing() if grows else None,
        images=20 * 4,
        batch=4,
        precision="fp32",
    )
    run = train(data.folder, tmp_path / "run", recipe)  # stops with an error at a NaN
    assert run.images == 80
    assert ("penalty" in {key for row in run.log() for key in row}) == (loss.interval > 0)


def test_batch_norm_under_a_penalty_on_gradients_is_warned_of(data, tmp_path, caplog):
    recipe = GanRecipe(
        name="pair", size=32, network=NETWORKS[0], loss=WassersteinPenalty(), images=4, batch=4
    )
    train(data.folder, tmp_path / "a", recipe)
    assert "batch norm, which makes the gradient at one image depend on" in caplog.text
    caplog.clear()
    for number, change in enumerate(["network=progressive", "loss=wgan", "loss=dragan"]):
        changed = recipe.set([change]).model_copy(update={"batch": 4})
        if change.startswith("network"):
            changed = changed.set(["network.base=256", "network.widest=16"])
        train(data.folder, tmp_path / f"b{number}", changed)
    assert "batch norm" not in caplog.text
