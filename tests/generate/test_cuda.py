"""A training round on "cuda", as far as a build without it can tell: no device is mixed.

Under FakeTensorMode tensors have a device but no content, and mixed devices are refused.
"""

from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from conftest import blobs, write_slices
from mrgantry.generate import flow_training
from mrgantry.generate.labels import Labels
from mrgantry.generate.networks import MonaiUNet
from mrgantry.generate.run import Facts, Run, describe
from mrgantry.generate.state import build
from mrgantry.generate.stop import Stop
from mrgantry.generate.train import training_of
from recipes import SMALL_FLOW

FLOWS = {
    "unet": SMALL_FLOW,
    "labels": SMALL_FLOW.set(['labels=["tumour"]']),
    "monai": SMALL_FLOW.model_copy(
        update={"network": MonaiUNet(widths=(8, 16), attention=(False, True), head=8)}
    ),
}


@pytest.fixture
def data(tmp_path):
    people = [f"s{i // 4}" for i in range(32)]
    splits = ["train"] * 16 + ["validation"] * 16
    return write_slices(tmp_path / "s", blobs(32), people, splits, tumour=["yes", "no"] * 16)


@pytest.mark.parametrize("name", FLOWS)
def test_a_round_and_a_look_stay_on_the_device(data, tmp_path, name, monkeypatch):
    if name == "monai":
        pytest.importorskip("monai.networks.nets.diffusion_model_unet")
    recipe = FLOWS[name].model_copy(update={"stop": Stop(), "precision": "bf16"})
    device = torch.device("cuda")
    fabric = SimpleNamespace(
        device=device, world_size=1, global_rank=0, is_global_zero=False, barrier=lambda: None
    )
    # A generator of numbers on a device needs that device.
    monkeypatch.setattr(flow_training, "stream_of", lambda *keys, device=None: None)
    rows = data.split("train")
    labels = Labels.of_table(rows.table, recipe.labels)
    facts = Facts(
        **describe(rows), labels=labels, only=(), command="", versions={}, precision="bf16"
    )
    with FakeTensorMode(allow_non_fake_inputs=True):
        state = build(recipe, 1, labels.width, device)
        run = Run(tmp_path / "run", recipe, facts)
        training = training_of(run, fabric, state, rows, data.split("validation"))
        told = training.round()
        assert told["velocity_error"].device.type == "cuda"
        held_out, seen = (training._error(state.sampler(), side) for side in training.sides)
        assert held_out.device.type == seen.device.type == "cuda"
        assert training.preview(final=False).device.type == "cuda"
        assert {p.device.type for p in state.generator.parameters()} == {"cuda"}


def test_mixed_devices_would_be_errors():
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        torch.zeros(2, device="cuda") + torch.zeros(2, 2)
