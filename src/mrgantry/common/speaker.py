"""Which process talks to the user, where several train together."""

import os


def speaks() -> bool:
    """Say whether this process is the first, by what torchrun, Fabric and SLURM set."""
    ranks = (os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return all(rank == "0" for rank in ranks)
