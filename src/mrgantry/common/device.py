"""What is computed on."""

import platform
from pathlib import Path

import torch

MEMORY = Path("/proc/meminfo")  # where Linux tells it


def best_device() -> torch.device:
    """Give a GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """Name it for people."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"CPU ({platform.machine()}), {threads} thread{'s' if threads > 1 else ''}"


def free_bytes(device: torch.device) -> int | None:
    """Say how much memory is free on a device; None where nobody tells."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = MEMORY.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024 * int(free[0]) if free else None
