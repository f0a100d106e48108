"""Where networks are trained: device, processes and arithmetic."""

import logging
import time
from pathlib import Path
from typing import Literal

import torch
from lightning_fabric import Fabric
from torch import nn

from mrgantry.common.errors import RecipeError
from mrgantry.generate.recipe import AnyRecipe
from mrgantry.generate.run import Run

TURNS = 12  # of the timing of both arithmetics


def start_fabric(recipe: AnyRecipe, devices: int) -> Fabric:
    """Take a device, and start the other processes if there are any.

    Raises:
        RecipeError: The batch cannot be shared by the processes, or they have too few GPUs.
    """
    if recipe.batch % devices:
        raise RecipeError(f"A batch of {recipe.batch} cannot be shared by {devices} processes.")
    if torch.cuda.is_available() and devices > torch.cuda.device_count():
        raise RecipeError(
            f"There are {torch.cuda.device_count()} GPUs here, not {devices}; lower --devices."
        )
    # Fabric's notes on devices would stand among the user's own lines.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=devices,
        strategy="ddp" if devices > 1 else "auto",
    )
    fabric.launch()
    return fabric


def choose_precision(recipe: AnyRecipe, run: Path, fabric: Fabric) -> Literal["fp32", "bf16"]:
    """Choose the arithmetic; a run that was begun keeps its own.

    One process decides for all: timings differ between them.
    """
    choice = recipe.precision
    if (run / "run.json").is_file():
        choice = Run.open(run).facts.precision
    elif choice == "auto":
        choice = "bf16" if faster_in_bf16(fabric.device) else "fp32"
    return fabric.broadcast(choice)


def faster_in_bf16(device: torch.device) -> bool:
    """Time a convolution and its gradient in both arithmetics.

    That a processor has bf16 instructions does not tell: on some they are half as fast
    as those for fp32, on others twice. Both take turns and the shortest times count, so
    that what else the machine does meanwhile does not decide.
    """
    convolution = nn.Conv2d(64, 64, 4, 2, 1, device=device)
    images = torch.randn(16, 64, 32, 32, device=device)
    shortest = {False: float("inf"), True: float("inf")}
    for turn in range(TURNS):
        for bf16 in (False, True):
            began = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                convolution(images).float().sum().backward()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first finds nothing prepared
                shortest[bf16] = min(shortest[bf16], time.perf_counter() - began)
    return shortest[True] < 0.8 * shortest[False]
