"""Images out of a generator, some at a time."""

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import Tensor, nn


@torch.no_grad()
def draw_images(
    generator: nn.Module, inputs: Float[Tensor, "n z"], batch: int = 100
) -> Float16[np.ndarray, "n c *s"]:
    """Draw images, some at a time, on the device of the generator."""
    device = next(generator.parameters()).device
    images = [generator(chunk.to(device)).clamp(-1, 1) for chunk in inputs.split(batch)]
    return torch.cat(images).to("cpu", torch.float16).numpy()
