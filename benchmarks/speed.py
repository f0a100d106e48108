"""Speed as ratios to a named alternative, all measured in one run: `make bench`.

Training is compared with the plain eager loop that a textbook would write: fp32, the
default memory layout, the same networks, loss, optimiser and batch.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from rich import box
from rich.console import Console
from rich.table import Table

from mrgantry.data.about import About
from mrgantry.data.slices import SliceSet
from mrgantry.generate.adversarial import GanTraining
from mrgantry.generate.device import choose_precision, start_fabric
from mrgantry.generate.recipe import GanRecipe
from mrgantry.generate.run import Facts, Run
from mrgantry.generate.state import build
from mrgantry.papers import find_recipe

ROUNDS, STEPS = 3, 4  # each way is timed so often, in turns, over so many steps


def plain_loop(recipe: GanRecipe, images: torch.Tensor) -> Callable[[], None]:
    """Give one step of the textbook's loop."""
    state = build(recipe, 1, 0, images.device)
    generator = state.generator.to(memory_format=torch.contiguous_format)
    critic = state.critic.to(memory_format=torch.contiguous_format)
    adam = [torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (critic, generator)]
    ones = torch.ones(recipe.batch, device=images.device)

    def step() -> None:
        real = images[torch.randint(len(images), (recipe.batch,))]
        fake = generator(torch.randn(recipe.batch, 100, device=images.device))
        adam[0].zero_grad()
        F.binary_cross_entropy_with_logits(critic(real)[:, 0], ones).backward()
        F.binary_cross_entropy_with_logits(critic(fake.detach())[:, 0], ones * 0).backward()
        adam[0].step()
        adam[1].zero_grad()
        F.binary_cross_entropy_with_logits(critic(fake)[:, 0], ones).backward()
        adam[1].step()

    return step


def training_on(recipe: GanRecipe, images: torch.Tensor) -> GanTraining:
    """Set our training up on some images, without a folder."""
    fabric = start_fabric(recipe, 1)
    facts = Facts(
        channels=("t1",),
        sequence="t1",
        plane="axial",
        pixel_mm=1.0,
        source="simulated",
        data="",
        data_fingerprint="",
        only=(),
        training_images=len(images),
        training_subjects=(),
        command="",
        versions={},
        precision=choose_precision(recipe, Path("nowhere"), fabric),
    )

    about = About(channels=("t1",), size=recipe.size, command="", choices={}, versions={})
    data = SliceSet(
        pd.DataFrame(index=range(len(images))), about, Path("nowhere"), np.arange(len(images))
    )
    vars(data)["images"] = images.half().cpu().numpy()  # as if they had been read
    state = build(recipe, 1, 0, fabric.device)
    return GanTraining(Run(Path("nowhere"), recipe, facts), fabric, state, data)


def seconds(step: Callable[[], object]) -> float:
    """Time some steps; give seconds a step."""
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / STEPS


def training_rows(name: str) -> list[tuple[str, str, str]]:
    """Compare training of one recipe with the plain loop, and with the machine."""
    recipe = find_recipe(name)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = torch.rand(256, 1, recipe.size, recipe.size, device=device) * 2 - 1
    training, plain = training_on(recipe, images), plain_loop(recipe, images)
    precision = training.run.facts.precision
    training.round(), plain()  # warm both up
    times = [(seconds(plain), seconds(training.round)) for _ in range(ROUNDS)]
    slow, fast = (statistics.median(side) for side in zip(*times, strict=True))
    rate = 11 * multiply_adds(recipe) * recipe.batch * 2 / fast / 1e9
    peak = matrix_rate(device, precision)
    return [
        (f"{name}, plain fp32 loop", f"{recipe.batch / slow:.0f} images/s", "1.00"),
        (
            f"{name}, mrgantry ({precision})",
            f"{recipe.batch / fast:.0f} images/s",
            f"{slow / fast:.2f}",
        ),
        (
            "  of the rate of a matrix product",
            f"{rate:.0f} of {peak:.0f} GFLOP/s",
            f"{rate / peak:.2f}",
        ),
    ]


def multiply_adds(recipe: GanRecipe) -> float:
    """Count the multiply-adds of the critic on one image; the generator has as many.

    A step is 11 such passes. Forward: the generator once, the critic on real, fake and
    fake again. Backward: two passes each for real and fake critic and for the generator,
    and one through the critic, which is frozen in the generator's step.
    """
    critic = recipe.network.critic(recipe.size, 1)
    total = 0.0
    image = torch.zeros(2, 1, recipe.size, recipe.size)
    for layer in critic:  # type: ignore[attr-defined]
        image = layer(image)
        if isinstance(layer, torch.nn.Conv2d):
            total += layer.weight.numel() * image.shape[2] * image.shape[3]
    return total


def matrix_rate(device: torch.device, precision: str) -> float:
    """Measure GFLOP/s of a large matrix product in an arithmetic."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    matrix = torch.randn(2048, 2048, device=device, dtype=kind)
    matrix @ matrix

    def product() -> None:
        _ = matrix @ matrix

    return 2 * 2048**3 / min(seconds(product) for _ in range(ROUNDS)) / 1e9


def help_row() -> tuple[str, str, str]:
    """Time `mrgantry --help`, best of five, against the target of 0.4 s."""
    command = [sys.executable, "-m", "mrgantry", "--help"]
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    return ("mrgantry --help", f"{min(times):.2f} s", f"{min(times) / 0.4:.2f} of 0.4 s")


def main() -> None:
    """Print one table."""
    table = Table("what", "rate", "ratio", box=box.SIMPLE_HEAD)
    for row in [*training_rows("han2018-dcgan-64"), help_row()]:
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
