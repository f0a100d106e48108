"""What two visits of one person share, as the brain network sees it.

    mrgantry simulate people --subjects 16 --visits 2 --sequence t1 --sequence flair --seed 13
    mrgantry prepare people slices --sequence t1 --sequence flair --pool --slices 0.4:0.75:4
    python benchmarks/visits.py slices

Simulated heads lie at both visits where they lay; protocol, receive field and noise are others.
`refine` may change images by as much: its limits, `TWO_VISITS`, are from here.
"""

import sys

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mrgantry.brain.network import load_network
from mrgantry.data.slices import SliceSet
from mrgantry.refinement.agreement import Kept, kept_of, tissue_maps

SLICE = ["subject", "sequence", "plane", "index"]


def main() -> None:
    """Print the shares of each sequence, and of all."""
    data = SliceSet.open(sys.argv[1])
    maps = tissue_maps(load_network(), data.images)
    rows = data.table.assign(row=np.arange(len(data)))
    visits = [rows[rows["session"] == name] for name in sorted(set(rows["session"]))[:2]]
    pairs = visits[0].merge(visits[1], on=SLICE)
    table = Table("sequence", "slices", *Kept._fields, box=box.SIMPLE_HEAD)
    for sequence in [*sorted(set(pairs["sequence"])), "all"]:
        chosen = pairs if sequence == "all" else pairs[pairs["sequence"] == sequence]
        kept = kept_of(maps[chosen["row_x"]], maps[chosen["row_y"]], chosen["tumour_x"].tolist())
        table.add_row(sequence, str(len(chosen)), *(f"{value:.3f}" for value in kept))
    Console().print(table)


if __name__ == "__main__":
    main()
