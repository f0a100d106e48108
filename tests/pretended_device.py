"""A training round on a GPU, as far as a machine without one can tell: `... FOLDER NAME ...`.

PyTorch lets a test declare a device of its own, and under FakeTensorMode tensors lie on it without
content. What mixes them with tensors on the CPU is refused, as on a GPU.
"""

import sys
from contextlib import contextmanager
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

from conftest import blobs, brain_phantom, write_nifti, write_slices
from mrgantry.brain.network import BrainNetwork
from mrgantry.data import SlicePlan, prepare
from mrgantry.generate import adversarial, flow_training, training
from mrgantry.generate.augment import Augment
from mrgantry.generate.labels import Labels
from mrgantry.generate.networks import MonaiUNet
from mrgantry.generate.run import Facts, Run, describe_data
from mrgantry.generate.schedule import Growing
from mrgantry.generate.state import build, optimisers_of
from mrgantry.generate.stop import Stop
from mrgantry.generate.training_run import training_of
from mrgantry.refinement import agreement, refiner
from recipes import LOSSES, NETWORKS, SMALL, SMALL_FLOW, SMALL_VOLUMES

DEVICE = "pretended"
FLOWS = {
    "unet": SMALL_FLOW,
    "labels": SMALL_FLOW.set(['labels=["tumour"]']),
    "volumes": SMALL_VOLUMES,
    "monai": SMALL_FLOW.model_copy(
        update={"network": MonaiUNet(widths=(8, 16), attention=(False, True), head=8)}
    ),
}


class Backend(_DummyBackendModule):
    """What PyTorch asks a device for before it casts to bf16 there."""

    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


def data_in(tmp_path, size):
    people = [f"s{i // 4}" for i in range(32)]
    splits = ["train"] * 16 + ["validation"] * 16
    return write_slices(
        tmp_path / "slices", blobs(32, size), people, splits, tumour=["yes", "no"] * 16
    )


def heads_in(tmp_path):
    for number in range(8):
        path = tmp_path / f"scans/p{number}/p{number}_t1.nii.gz"
        write_nifti(path, brain_phantom(number))
    plan = SlicePlan(plane="volume", voxels=SMALL_VOLUMES.voxels, voxel_mm=1.5)
    return prepare(tmp_path / "scans", tmp_path / "heads", plan)


class OnDevice(Fabric):
    """Fabric as a process on a GPU finds it."""

    world_size, global_rank, is_global_zero = 1, 0, False

    def __init__(self):
        pass

    @property
    def device(self):
        return torch.device(DEVICE, 0)

    def all_reduce(self, data):
        """Give one process's own."""
        return data


def on_device(state, recipe, device):
    """Replace all tensors of a state."""
    for network in state.networks().values():
        put_there(network, device)
    if state.ema:
        state.ema.requires_grad_(False)
    optimisers = optimisers_of(recipe, state.generator, state.critic)
    return replace(state, optimisers=optimisers, p=state.p.new_empty((), device=device))


def put_there(network, device):
    """Replace all tensors of a network: without the device, a module cannot be moved there."""
    for module in network.modules():
        for kind in (module._parameters, module._buffers):
            for name, value in kind.items():
                if value is not None:
                    made = torch.empty(value.shape, dtype=value.dtype, device=device)
                    wrapped = isinstance(value, torch.nn.Parameter)
                    kind[name] = torch.nn.Parameter(made) if wrapped else made


@contextmanager
def training_there(recipe, data, folder):
    """Set up a training on the device; within, tensors have no content."""
    rows = data.split("train")
    labels = Labels.of_table(rows.table, recipe.labels)
    facts = Facts(
        **describe_data(rows, recipe),
        labels=labels,
        only=(),
        command="",
        versions={},
        precision="fp32",
    )
    state = build(recipe, 1, labels.width, torch.device("cpu"))
    plain = torch.from_numpy
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        # Tensors with content cannot go to a device that is not there.
        torch.from_numpy = lambda array: mode.from_tensor(plain(array))
        # Nor can numbers.
        torch.Tensor.new_tensor = lambda like, data: like.new_empty(len(data))
        state = on_device(state, recipe, torch.device(DEVICE, 0))
        run = Run(folder / "run", recipe, facts)
        yield training_of(run, OnDevice(), state, rows, data.split("validation"))
        torch.from_numpy = plain


def flow_round(name, tmp_path):
    """Take a round and a look; what mixes devices raises."""
    data = heads_in(tmp_path) if name == "volumes" else data_in(tmp_path, 16)
    recipe = FLOWS[name].model_copy(update={"stop": Stop(), "precision": "fp32"})
    with training_there(recipe, data, tmp_path) as training:
        assert training.round()["velocity_error"].device.type == DEVICE
        looks = [training._errors(training.state.sampler(), side) for side in training.sides]
        assert [errors.device.type for errors in looks] == [DEVICE] * 2
        if not recipe.labels:  # they are drawn by content
            for final in (False, True):
                assert training.preview(final).device.type == DEVICE
        assert {p.device.type for p in training.state.generator.parameters()} == {DEVICE}


def gan_rounds(kind, tmp_path):
    """Take two rounds of a network under every loss, with labels and augmentation."""
    data = data_in(tmp_path, 32)
    network = next(network for network in NETWORKS if network.kind == kind)
    for loss in LOSSES:
        recipe = SMALL.model_copy(
            update={
                "size": 32,
                "network": network,
                "loss": loss,
                "labels": ("tumour",),
                "augment": Augment(start=0.5),
                "vat": 1.0,
                "schedule": Growing() if kind == "progressive" else None,
            }
        )
        with training_there(recipe, data, tmp_path) as training:
            told = [training.round() for _ in range(2)]
            assert {one.device.type for row in told for one in row.values()} == {DEVICE}
            networks = (training.state.generator, training.state.critic, training.state.ema)
            weights = [weight for one in networks for weight in one.parameters()]
            assert {weight.device.type for weight in weights} == {DEVICE}


def refiner_steps():
    """Take two steps of a refiner, whose images lie on the CPU."""
    lesson = refiner.Lesson(batch=4, width=8, blocks=1, memory=8)
    whole = torch.zeros(16, 1, 64, 64)
    learning = refiner.Learning.begin(lesson, whole, 0, torch.device("cpu"))
    brain = BrainNetwork()
    agreement.standard = lambda images: images  # a size that is right; the device cannot resize
    with FakeTensorMode():
        images, learning.memory = torch.zeros(16, 1, 64, 64), torch.zeros(8, 1, 64, 64)
        for network in (learning.refiner, learning.critic, brain):
            put_there(network, torch.device(DEVICE, 0))
        brain.requires_grad_(False)
        learning.optimisers = tuple(
            torch.optim.Adam(network.parameters())
            for network in (learning.refiner, learning.critic)
        )
        for _ in range(2):
            refiner.take_step(learning, brain, images, images, lesson, 0)
        assert learning.memory.device.type == "cpu" and learning.step == 2
        weights = [*learning.refiner.parameters(), *learning.critic.parameters()]
        assert {weight.device.type for weight in weights} == {DEVICE}


def main():
    """Declare the device, see that it refuses what it must, and train on it."""
    setup_device(DEVICE, Backend())
    with FakeTensorMode():
        try:
            torch.zeros(2, device=DEVICE) + torch.zeros(2)
        except RuntimeError as error:
            assert "same device" in str(error)
        else:
            raise AssertionError("Tensors of two devices were added.")
    # A generator of numbers on a device needs that device.
    for module in (adversarial, flow_training, refiner, training):
        module.stream_of = lambda *keys, device=None: None
    folder, *names = sys.argv[1:]
    for name in names:
        print(name, file=sys.stderr)
        if name == "refiner":
            refiner_steps()
            continue
        (flow_round if name in FLOWS else gan_rounds)(name, Path(folder) / name)


if __name__ == "__main__":
    main()
