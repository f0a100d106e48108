"""One simulated patient: the same from the same seed and number, whoever else there is."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int16, UInt8
from torch import Tensor

from mrgantry.simulation.anatomy import Anatomy, build_anatomy, draw_head, place
from mrgantry.simulation.contrast import ScanProtocol, Tissue, acquire, draw_protocol, draw_tissues
from mrgantry.simulation.fields import stream
from mrgantry.simulation.stroke import Infarct, strike
from mrgantry.simulation.template import Template, load_template
from mrgantry.simulation.tumour import TUMOUR_TISSUES, Focus, Tumour, grow, plant


@dataclass(frozen=True)
class Patient:
    """Everything about one patient that a scanner would measure.

    Attributes:
        seed: Seed of the cohort.
        number: The patient's number, from 1.
        anatomy: The brain, pushed aside by the tumour if there is one.
        tissues: The patient's relaxation times.
        focus: Where the tumour started, None for healthy.
        tumour: What grew there, None for healthy.
        fractions: What each voxel is made of: the brain's tissues, then the tumour's, then what
            is acute infarct.
        infarcts: Of those who had a stroke.
    """

    seed: int
    number: int
    anatomy: Anatomy
    tissues: dict[str, Tissue]
    focus: Focus | None
    tumour: Tumour | None
    fractions: Float[Tensor, "t n"]
    infarcts: tuple[Infarct, ...] = ()

    def labels(self) -> UInt8[Tensor, "x y z"]:
        """Draw the BRATS labels in the anatomy's box."""
        volume = torch.zeros(self.anatomy.box.size, dtype=torch.uint8, device=self.fractions.device)
        if self.tumour is not None:
            volume.view(-1)[self.anatomy.voxels] = self.tumour.labels
        return volume

    def protocol(self, sequence: str, visit: int = 1, t1_kind: str | None = None) -> ScanProtocol:
        """Draw how this patient is scanned; see `draw_protocol`."""
        generator = self._stream("protocol", sequence, visit)
        return draw_protocol(sequence, self.tissues["csf"], generator, t1_kind)

    def scan(
        self, sequence: str, visit: int = 1, t1_kind: str | None = None
    ) -> Int16[Tensor, "x y z"]:
        """Scan one sequence; see `acquire`.

        Visits differ in protocol, receive field and noise. The head lies where it lay,
        as in BRATS, where all scans of a patient are registered to one atlas.
        """
        with self.fractions.device:
            return acquire(
                self.protocol(sequence, visit, t1_kind),
                self.tissues,
                self.fractions,
                self.anatomy,
                self._stream("noise", sequence, visit),
            )

    def _stream(self, purpose: str, sequence: str, visit: int) -> torch.Generator:
        """Open the stream of one scan; the first visit's name is that of an only visit."""
        words = [purpose, sequence] + ([f"visit {visit}"] if visit > 1 else [])
        return stream(self.seed, self.number, " ".join(words))


def draw_patient(
    template: Template, seed: int, number: int, grade: str, device: str = "cpu"
) -> Patient:
    """Draw one patient.

    What is chosen is chosen on the CPU and on the coarse grid, so that rounding on another
    device moves no tumour; what is drawn at 1 mm is drawn on the device.

    Args:
        template: The average brain, on the CPU.
        seed: Seed of the cohort.
        number: The patient's number, from 1.
        grade: "HGG", "LGG", "stroke" or "healthy"; the brain under the tumour or the infarct is
            the same.
        device: Where voxels are drawn, as PyTorch names it.
    """
    head = draw_head(template, stream(seed, number, "head"))
    tissues = draw_tissues(stream(seed, number, "tissues"))
    focus = None
    if grade in ("HGG", "LGG"):
        focus = plant(template, head, stream(seed, number, "tumour"), grade == "HGG")
    coarse, least = place(template, head, focus.push if focus else None)
    here = template if device == "cpu" else load_template(device)
    with torch.device(device):
        growth = stream(seed, number, "anatomy")
        anatomy = build_anatomy(here, head, coarse.to(device), least, growth)
        tumour = grow(focus, anatomy, stream(seed, number, "growth")) if focus else None
        fractions = anatomy.tissues
        if tumour is not None:
            fractions = torch.cat([fractions * (1 - tumour.tissues.sum(0)), tumour.tissues])
        infarcts: tuple[Infarct, ...] = ()
        if grade == "stroke":
            struck = strike(anatomy, stream(seed, number, "stroke"))
            anatomy, infarcts = struck.anatomy, struck.infarcts
            none = torch.zeros(len(TUMOUR_TISSUES), len(anatomy.voxels))
            rest = anatomy.tissues * (1 - struck.swollen)
            fractions = torch.cat([rest, none, struck.swollen[None]])
    return Patient(seed, number, anatomy, tissues, focus, tumour, fractions, infarcts)
