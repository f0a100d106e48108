"""Train the brain network on simulated slices: `python -m mrgantry.evaluation.brain.train OUT`.

OUT is the safetensors file to write; `brain/weights.safetensors` came from the command
as it stands. Another machine gives other bits and equal verdicts. It takes about half an hour on
two cores, nearly half of it for the heads.
"""

import argparse
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from mrgantry.brain.network import BrainNetwork, Response
from mrgantry.common.files import whole
from mrgantry.common.progress import progress
from mrgantry.evaluation.brain.slices import LabelledSlices, SimulatedSlices, simulated_slices
from mrgantry.simulation.template import CITATION, NOTICE

SEED = 1_000_000_016  # of the heads; far from seeds that people choose for cohorts of their own
PEOPLE, STEPS, BATCH = 240, 1800, 32
RATE = 2e-3
WARM = 100  # steps in which the rate rises
INNER = 5.0  # how much more a pixel of brain counts than one of background
PLACE = 0.2  # weight of plane and level beside tissues
KEPT = 0.9  # share of the heads to train with; the others are tested on


def train_network(
    slices: SimulatedSlices, steps: int = STEPS, batch: int = BATCH, seed: int = 0
) -> nn.Module:
    """Train a network on simulated slices; bf16 where autocast gives it.

    Args:
        slices: What to learn from.
        steps: Batches.
        batch: Slices a step.
        seed: Of the first weights and of all that is drawn.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = BrainNetwork().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    random = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    recent: list[float] = []
    with progress("train", steps) as advance:
        for step in range(steps):
            falling = 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01
            optimiser.param_groups[0]["lr"] = RATE * min(1, (step + 1) / WARM) * falling
            lesson = slices.lesson(batch, random)
            with torch.autocast("cpu", torch.bfloat16):
                said = network(lesson.images.to(memory_format=torch.channels_last))
            loss = loss_of(said, lesson)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            recent = [*recent[-99:], loss.item()]
            advance(note=f"loss {sum(recent) / len(recent):.3f}")
            if (step + 1) % 100 == 0:
                print(f"step {step + 1}: loss {sum(recent) / len(recent):.3f}", flush=True)
    return network.eval()


def loss_of(said: Response, lesson: LabelledSlices) -> Tensor:
    """Give the soft cross-entropy of tissues, and the errors of plane and level."""
    inner = lesson.fractions[:, -1:] < 0.98
    each = -(lesson.fractions * F.log_softmax(said.tissues.float(), 1)).sum(1, keepdim=True)
    tissues = (each * torch.where(inner, INNER, 1.0)).mean() / 2
    plane = F.cross_entropy(said.plane.float(), lesson.planes)
    level = (said.level.float() - lesson.levels).square().mean()
    return tissues + PLACE * plane + 10 * PLACE * level


@torch.no_grad()
def examine(network: nn.Module, slices: SimulatedSlices, count: int = 512) -> dict[str, float]:
    """Test a network on other heads: shares of right tissues and planes, the level's error."""
    lesson = slices.lesson(count, torch.Generator().manual_seed(1))
    said = network(lesson.images)
    inner = lesson.fractions[:, -1] < 0.5
    right = said.tissues.argmax(1) == lesson.fractions.argmax(1)
    return {
        "tissue": float(right[inner].float().mean()),
        "plane": float((said.plane.argmax(1) == lesson.planes).float().mean()),
        "level_error": float((said.level - lesson.levels).abs().mean()),
    }


def main() -> None:
    """Simulate, train, test, and write the weights in half precision."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--heads", type=Path, help="keep the simulated slices here (.pt)")
    options = parser.parse_args()
    if options.heads and options.heads.is_file():
        stored = torch.load(options.heads, weights_only=True)
        slices = SimulatedSlices(**stored)
    else:
        slices = simulated_slices(options.people, SEED)
        if options.heads:
            torch.save(vars(slices), options.heads)
    training = slices.people <= KEPT * options.people
    network = train_network(slices.take(training), options.steps)
    print(examine(network, slices.take(~training)))
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    with whole(options.out) as aside:
        save_file(tensors, aside, metadata={"notice": NOTICE, "cite": CITATION})


if __name__ == "__main__":
    main()
