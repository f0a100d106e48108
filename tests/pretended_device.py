"""A training round on a GPU, as far as a machine without one can tell: `... NAME FOLDER`.

PyTorch lets a test declare a device of its own, and under FakeTensorMode tensors lie on it without
content. What mixes them with tensors on the CPU is refused, as on a GPU.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.backend_registration import (
    _DummyBackendModule,
)
from torch.utils.backend_registration import (
    _setup_privateuseone_for_python_backend as setup_device,
)

from conftest import blobs, write_slices
from mrgantry.generate import flow_training
from mrgantry.generate.labels import Labels
from mrgantry.generate.networks import MonaiUNet
from mrgantry.generate.run import Facts, Run, describe
from mrgantry.generate.state import build, optimisers_of
from mrgantry.generate.stop import Stop
from mrgantry.generate.train import training_of
from recipes import SMALL_FLOW

DEVICE = "pretended"
FLOWS = {
    "unet": SMALL_FLOW,
    "labels": SMALL_FLOW.set(['labels=["tumour"]']),
    "monai": SMALL_FLOW.model_copy(
        update={"network": MonaiUNet(widths=(8, 16), attention=(False, True), head=8)}
    ),
}


class Backend(_DummyBackendModule):
    """What PyTorch asks a device for before it casts to bf16 there."""

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


def data_in(tmp_path):
    people = [f"s{i // 4}" for i in range(32)]
    splits = ["train"] * 16 + ["validation"] * 16
    return write_slices(tmp_path / "slices", blobs(32), people, splits, tumour=["yes", "no"] * 16)


class OnDevice(Fabric):
    """Fabric as a process on a GPU finds it."""

    world_size, global_rank, is_global_zero = 1, 0, False

    def __init__(self):
        pass

    @property
    def device(self):
        return torch.device(DEVICE, 0)


def on_device(state, recipe, device):
    """Replace all tensors of a state: without the device, a module cannot be moved there."""
    for network in state.networks().values():
        for module in network.modules():
            for kind in (module._parameters, module._buffers):
                for name, value in kind.items():
                    if value is not None:
                        made = torch.empty(value.shape, dtype=value.dtype, device=device)
                        wrapped = isinstance(value, torch.nn.Parameter)
                        kind[name] = torch.nn.Parameter(made) if wrapped else made
    state.ema.requires_grad_(False)
    optimisers = optimisers_of(recipe, state.generator, state.critic)
    return replace(state, optimisers=optimisers, p=state.p.new_empty((), device=device))


def train_a_round(name, tmp_path):
    """Take a round and a look; what mixes devices raises."""
    data = data_in(tmp_path)
    recipe = FLOWS[name].model_copy(update={"stop": Stop(), "precision": "fp32"})
    device = torch.device(DEVICE, 0)
    fabric = OnDevice()
    # A generator of numbers on a device needs that device.
    flow_training.stream_of = lambda *keys, device=None: None
    rows = data.split("train")
    labels = Labels.of_table(rows.table, recipe.labels)
    facts = Facts(
        **describe(rows), labels=labels, only=(), command="", versions={}, precision="fp32"
    )
    state = build(recipe, 1, labels.width, torch.device("cpu"))
    plain = torch.from_numpy
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        # Tensors with content cannot go to a device that is not there.
        torch.from_numpy = lambda array: mode.from_tensor(plain(array))
        state = on_device(state, recipe, device)
        run = Run(tmp_path / "run", recipe, facts)
        training = training_of(run, fabric, state, rows, data.split("validation"))
        told = training.round()
        assert told["velocity_error"].device.type == DEVICE
        held_out, seen = (training._errors(state.sampler(), side) for side in training.sides)
        assert held_out.device.type == seen.device.type == DEVICE
        if not recipe.labels:  # they are drawn by content
            for final in (False, True):
                assert training.preview(final).device.type == DEVICE
        assert {p.device.type for p in state.generator.parameters()} == {DEVICE}


def main():
    """Declare the device, see that it refuses what it must, and train a round."""
    setup_device(DEVICE, Backend())
    with FakeTensorMode():
        try:
            torch.zeros(2, device=DEVICE) + torch.zeros(2)
        except RuntimeError as error:
            assert "same device" in str(error)
        else:
            raise AssertionError("Tensors of two devices were added.")
    train_a_round(sys.argv[1], Path(sys.argv[2]))


if __name__ == "__main__":
    main()
