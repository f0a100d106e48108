"""Steps a second of the progressive GAN at 64 pixels, against a public implementation.

    git clone https://github.com/facebookresearch/pytorch_GAN_zoo
    python benchmarks/growing.py pytorch_GAN_zoo

Both have the same task: Karras's widths (512 up to 32x32, 256 at 64x64), WGAN-GP with
drift, Adam, a moving average of the generator, a batch of 8 grey images, nothing fading.
They take turns in one process, a step each: on two cores one takes many seconds. Without a
path, only ours is timed and profiled.
"""

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from speed import matrix_rate, training_on
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from mrgantry.papers import find_recipe

RECIPE = find_recipe("han2018-pggan-64").set(["schedule=null", "batch=8"])
ROUNDS = 3  # each way is timed so often, in turns


def gan_zoo(folder: Path, images: torch.Tensor) -> Callable[[], None]:
    """Give one step of the GAN zoo's progressive GAN at 64 pixels."""
    sys.path.insert(0, str(folder))
    from models.progressive_gan import ProgressiveGAN

    class Runs(ProgressiveGAN):
        """Theirs, with what today's PyTorch wants of it on a CPU."""

        def getOptimizerD(self):  # noqa: N802
            return torch.optim.Adam(self.netD.parameters(), 1e-3, (0.0, 0.99))

        def getOptimizerG(self):  # noqa: N802
            return torch.optim.Adam(self.netG.parameters(), 1e-3, (0.0, 0.99))

        def updateAlpha(self, share):  # noqa: N802
            self.getOriginalG().setNewAlpha(share)
            self.getOriginalD().setNewAlpha(share)

    model = Runs(
        dimLatentVector=512,
        depthScale0=512,
        miniBatchStdDev=True,
        dimOutput=1,
        useGPU=images.is_cuda,
        baseLearningRate=1e-3,
        lossMode="WGANGP",
        lambdaGP=10.0,
        epsilonD=0.001,
    )
    for depth in (512, 512, 512, 256):
        model.addScale(depth)
    model.updateAlpha(0)  # its alpha is the share of the old layers

    def step() -> None:
        rows = torch.randint(len(images), (RECIPE.batch,))
        model.optimizeParameters(images[rows])

    return step


def times_of(steps: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Time some ways in turns; give seconds a step of each turn."""
    for step in steps.values():
        step()  # warm up
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            times[name].append(seconds(step))
    return times


def seconds(step: Callable[[], object]) -> float:
    """Time one step."""
    began = time.perf_counter()
    step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def where_time_goes(step: Callable[[], object]) -> list[tuple[str, float]]:
    """Give the share of a step's time in each kind of operation, most first."""
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        step()
    shares: Counter[str] = Counter()
    for event in seen.key_averages():
        shares[kind_of(event.key)] += event.self_cpu_time_total
    total = sum(shares.values())
    return [(kind, share / total) for kind, share in shares.most_common()]


class Operations(TorchDispatchMode):
    """Count floating-point operations; PyTorch's own counter cannot count a gradient penalty."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Call an operation and count it."""
        result = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function._overloadpacket)
        if formula:
            self.total += formula(*args, **(kwargs or {}), out_val=result)
        return result


def kind_of(name: str) -> str:
    """Name the kind of an operation."""
    kinds = {
        "convolution": ("mkldnn_convolution", "convolution", "slow_conv"),
        "matrix product": ("addmm", "aten::mm", "bmm"),
        "copies and layouts": ("copy_", "clone", "contiguous", "to_copy", "cat", "flip"),
        "optimiser and average": ("_foreach", "Optimizer", "lerp", "addcdiv", "addcmul"),
        "leaky ReLU": ("leaky_relu", "Leaky"),
    }
    for kind, words in kinds.items():
        if any(word in name for word in words):
            return kind
    return "arithmetic on images and weights"


def main() -> None:
    """Print the ratio, and where the time of a step goes."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = torch.rand(256, 1, 64, 64, device=device) * 2 - 1
    training = training_on(RECIPE, images)
    ours = f"mrgantry ({training.run.facts.precision})"
    steps: dict[str, Callable[[], object]] = {ours: training.round}
    if len(sys.argv) > 1:
        steps = {"GAN zoo (fp32)": gan_zoo(Path(sys.argv[1]), images)} | steps
    times = times_of(steps)
    first = statistics.median(next(iter(times.values())))
    table = Table("progressive GAN, 64 x 64, batch 8", "steps/s", "ratio", box=box.SIMPLE_HEAD)
    console = Console(width=100)
    for name, some in times.items():
        middle = statistics.median(some)
        spread = f"{1 / max(some):.2f} to {1 / min(some):.2f}"
        table.add_row(name, f"{1 / middle:.2f} ({spread})", f"{first / middle:.2f}")
    with Operations() as counted:
        training.round()
    rate = counted.total / statistics.median(times[ours]) / 1e9
    peak = matrix_rate(device, training.run.facts.precision)
    share = f"{rate:.0f} of {peak:.0f} GFLOP/s"
    table.add_row("  of the rate of a matrix product", share, f"{rate / peak:.2f}")
    for kind, part in where_time_goes(steps[ours]):
        table.add_row(f"  time in {kind}", "", f"{part:.2f}")
    console.print(table)
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
