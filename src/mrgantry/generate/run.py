"""A training run as a folder that anyone can open.

recipe.json             what was trained
run.json                on which data, with which command and versions
log.jsonl               losses, one line every half percent
samples/*.png           the same latents as training goes on
weights/*.safetensors   generator, its moving average, critic; of a flow, the best of these looks
stopped.json            why a flow ended by itself, if it did
state.pt                what a resumed run needs
best.pt                 what a flow goes back to when held-out people gain no more
tensorboard/            the same log for TensorBoard
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mrgantry.common import workfolder
from mrgantry.common.display import Display, Displayed
from mrgantry.common.errors import DataError, RecipeError, RunError
from mrgantry.common.files import AnyPath, read_json, whole, write_json
from mrgantry.common.frozen import Frozen
from mrgantry.data.slices import SliceSet
from mrgantry.generate.flow import FlowSampler, Sampler
from mrgantry.generate.guess import LinearGuess
from mrgantry.generate.labels import Labels
from mrgantry.generate.latents import draw_latents
from mrgantry.generate.layers import lay_out
from mrgantry.generate.recipe import AnyRecipe, FlowRecipe, read_recipe
from mrgantry.generate.spectrum import NeighbourFit, Spectrum
from mrgantry.generate.stacks import StackSampler

KEPT = "kept"  # the file of the weights that were best at held-out people
STOPPED = "stopped.json"
BEST = "best.pt"


class StartedFrom(Frozen):
    """Where the weights of a run came from before it was trained.

    Attributes:
        name: Of the weights: what `--start` was given.
        fingerprint: Of the file.
        source: Where their training data came from in the end, real or simulated.
        training_subjects: Whom they were trained on.
        adapted: What was changed to make them fit.
    """

    name: str
    fingerprint: str
    source: Literal["real", "simulated"]
    training_subjects: tuple[str, ...]
    adapted: tuple[str, ...] = ()


class Facts(Frozen):
    """What `run.json` tells beside the recipe.

    Attributes:
        channels: Names of the images' channels.
        classes: What the label maps that are drawn with them tell apart, a channel a class;
            empty if images are drawn alone.
        sequence: Sequence of the training slices, or several with a plus between.
        plane: Their plane.
        pixel_mm: Their pixel's width in millimetres.
        source: Where the training data come from in the end, real or simulated.
        data: Folder of the training data.
        data_fingerprint: Of the set it was trained on.
        only: Conditions on the rows, such as ("tumour=yes",).
        training_images: How many slices.
        training_subjects: Whom the generator has seen, those of the weights it started from
            among them.
        command: The shell command that trains it again.
        versions: Of the libraries.
        precision: The arithmetic that was chosen for the networks.
        labels: What a conditional generator is told.
        tumour: Of all training slices, "yes" or "no"; "unknown" where they differ.
        started_from: Whose weights it began with; None where they were random.
        spectrum: Of a flow: mean power of the training images, of each channel by frequency.
        neighbour_fits: Of a flow that draws heads slice by slice: how slices follow from those
            beside them, of each kind of slices (`stacks.Neighbours`).
    """

    channels: tuple[str, ...]
    sequence: str
    plane: str
    pixel_mm: float
    source: Literal["real", "simulated"]
    data: str
    data_fingerprint: str
    only: tuple[str, ...]
    training_images: int
    training_subjects: tuple[str, ...]
    command: str
    versions: dict[str, str]
    precision: Literal["fp32", "bf16"]
    labels: Labels = Labels()
    tumour: str = "unknown"
    started_from: StartedFrom | None = None
    spectrum: Spectrum = ()
    neighbour_fits: tuple[NeighbourFit, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def drawn(self) -> int:
        """Give how many channels the networks draw: the images', and one a class."""
        return len(self.channels) + len(self.classes)


@dataclass(frozen=True, repr=False)
class Run(Displayed):
    """A folder with a recipe and what came of it."""

    folder: Path
    recipe: AnyRecipe
    facts: Facts

    @property
    def display(self) -> Display:
        """Show its latest picture."""
        pictures = sorted((self.folder / "samples").glob("*.png"))
        said = f"<Run {self.folder}: {self.recipe.name}, {self.images:,} images seen>"
        return Display([said], picture=pictures[-1] if pictures else None)

    @property
    def name(self) -> str:
        """Name the run by its folder."""
        return self.folder.resolve().name

    @classmethod
    def open(cls, folder: AnyPath) -> "Run":
        """Read a run's recipe and facts.

        Raises:
            DataError: The folder is no run.
        """
        folder = Path(folder)
        if not (folder / "run.json").is_file():
            raise DataError(
                f"{folder} is not a training run (it has no run.json). Make one with "
                "`mrgantry train SLICES RUN --recipe gantry-64`."
            )
        recipe = read_recipe(read_json(folder / "recipe.json"), f"recipe of {folder}")
        return cls(folder, recipe, Facts.of(read_json(folder / "run.json"), f"run of {folder}"))

    @classmethod
    def begin(cls, folder: Path, recipe: AnyRecipe, facts: Facts) -> "Run":
        """Start a run, or open the one that was started with the same recipe and data.

        A run can be made longer, and told when to stop, without beginning again.

        Args:
            folder: Of the run.
            recipe: What is trained.
            facts: On what.

        Raises:
            RunError: The folder holds another recipe or other data.
        """
        begun = workfolder.is_begun(folder, "recipe.json", "a training run")
        if begun and (folder / "run.json").is_file():  # a kill can leave the recipe alone
            run = cls.open(folder)
            goes_on = _goes_on(run.recipe, recipe)
            changes = [] if goes_on else recipe.differences(run.recipe)
            if run.facts.data_fingerprint != facts.data_fingerprint:
                changes.append(f"the data in {facts.data} are not those it began with")
            if run.facts.only != facts.only:
                changes.append(f"only was {run.facts.only}, now {facts.only}")
            if changes:
                raise RunError(
                    f"{folder} was begun otherwise: {'; '.join(changes)}. Choose another "
                    "folder for a new run, or repeat the first command to go on with this one."
                )
            if goes_on and recipe != run.recipe:
                run = cls(folder, recipe, run.facts.model_copy(update={"command": facts.command}))
                if isinstance(recipe, FlowRecipe) and recipe.stop is None:
                    (folder / STOPPED).unlink(missing_ok=True)
                write_json(folder / "recipe.json", recipe.model_dump())
                write_json(folder / "run.json", run.facts.model_dump())
            return run
        write_json(folder / "recipe.json", recipe.model_dump())
        write_json(folder / "run.json", facts.model_dump())
        return cls(folder, recipe, facts)

    @property
    def stopped(self) -> str:
        """Say why training ended by itself; empty if it did not."""
        path = self.folder / STOPPED
        return str(read_json(path)["reason"]) if path.is_file() else ""

    @property
    def unfinished(self) -> str:
        """Say how far training has come; empty if it is over."""
        seen, all_images = self.images, self.recipe.images
        if seen >= all_images or self.stopped:
            return ""
        return f"{self.folder} has seen {seen:,} of {all_images:,} images so far"

    def refuse_volumes(self) -> None:
        """Refuse a run that draws whole heads, where images are asked for.

        Raises:
            RecipeError: It does.
        """
        if self.recipe.voxels:
            raise RecipeError(
                f"{self.folder} draws whole heads, of which `sample` makes a cohort of scans "
                "(`sample_cohort` in Python); this takes runs that draw slices."
            )

    def log(self) -> list[dict[str, Any]]:
        """Read the lines of the log; one that a kill cut short ends it."""
        path = self.folder / "log.jsonl"
        rows = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
        return rows

    @property
    def images(self) -> int:
        """Give how many real images the critic has seen so far."""
        log = self.log()
        return int(log[-1]["images"]) if log else 0

    def generator(
        self,
        network: nn.Module | None = None,
        sampler: Sampler | None = None,
        *,
        given_maps: bool = False,
    ) -> nn.Module:
        """Rebuild the trained generator, in evaluation mode, on the CPU.

        It maps what `inputs` gives to images of the recipe's size; one that has not grown
        to it yet has its images enlarged. Its moving average is taken where the recipe
        keeps one, and of a flow the weights that were best at held-out people.

        Args:
            network: Of a flow: a denoiser whose weights are taken where the run has none yet.
            sampler: Of a flow: how to draw; unless given, as the recipe says.
            given_maps: Of a flow: label maps are not drawn but stand behind what `inputs` gives.

        Raises:
            RunError: The run has no weights yet, or they are damaged.
        """
        recipe, channels = self.recipe, self.facts.drawn
        if isinstance(recipe, FlowRecipe):
            if network is None or (self.folder / f"weights/{KEPT}.safetensors").is_file():
                network = self._load(recipe.denoiser(channels, self.facts.labels.width))
            given = len(self.facts.classes) if given_maps else 0
            return self.flow_sampler(network, sampler or recipe.sampler, given).eval()
        return self._load(recipe.generator(channels, self.facts.labels.width)).eval()

    def flow_sampler(self, network: nn.Module, how: Sampler, given: int = 0) -> FlowSampler:
        """Give the generator that a flow's denoiser is.

        Args:
            network: The denoiser.
            how: How to draw.
            given: How many of the last channels are not drawn but given.
        """
        recipe = cast(FlowRecipe, self.recipe)
        kind = StackSampler if recipe.stacked else FlowSampler
        bf16 = self.facts.precision == "bf16"
        shape = (self.facts.drawn, *recipe.shape)
        return kind(network, recipe.flow, self.guess, how, bf16, given, shape)

    @property
    def guess(self) -> LinearGuess:
        """Give the linear guess that a flow's network adds to: of images, or of volumes' slices."""
        recipe = cast(FlowRecipe, self.recipe)
        shape = recipe.shape[1:] if recipe.stacked else recipe.shape
        return LinearGuess(
            (self.facts.drawn, *shape), self.facts.spectrum, self.facts.neighbour_fits
        )

    def _load(self, network: nn.Module) -> nn.Module:
        """Give a network the weights that images are sampled from, and grow it as far as it was.

        Raises:
            RunError: There are none yet, or they are damaged.
        """
        recipe, path = self.recipe, self._weights_file()
        schedule = None if isinstance(recipe, FlowRecipe) else recipe.schedule
        try:
            network.load_state_dict(load_file(path))
            if schedule:
                with safe_open(path, "pt") as file:
                    begun = int(file.metadata()["begun"])
                network.grow(schedule.at(begun, recipe.images, recipe.size))  # type: ignore[operator]
                return nn.Sequential(network, nn.Upsample(recipe.size))
        except (OSError, RuntimeError, SafetensorError, LookupError, TypeError) as error:
            raise RunError(
                f"{path} is damaged, or not of this recipe ({error}); take the whole run from a "
                f"copy, or train it again with {self.facts.command}"
            ) from error
        return lay_out(network)

    def inputs(
        self, seeds: Sequence[int], only: Sequence[str] = ()
    ) -> tuple[Float[Tensor, "n z"], list[tuple[str, ...]]]:
        """Draw what the generator is fed with, one row a seed and from the seed alone.

        Args:
            seeds: One an image.
            only: Conditions on the labels, such as "tumour=yes"; unless given, labels are
                as frequent as in the training set.

        Returns:
            Latents with one-hot labels behind them, and the labels' values of each row.

        Raises:
            DataError: The run has no such label.
        """
        recipe, labels = self.recipe, self.facts.labels.only(only)
        latent = recipe.latent(self.facts.drawn)
        rows, values = [], []
        for seed in seeds:
            random = torch.Generator().manual_seed(seed)
            rows.append(draw_latents(recipe.prior, (latent,), random))
            values.append(labels.draw(random))
        return torch.cat([torch.stack(rows), labels.encode(values)], 1), values

    def weights(self) -> bytes:
        """Read the file of weights that images are sampled from.

        Raises:
            RunError: The run has no weights yet.
        """
        return self._weights_file().read_bytes()

    def _weights_file(self) -> Path:
        path = self.folder / f"weights/{KEPT}.safetensors"
        stops = isinstance(self.recipe, FlowRecipe) and self.recipe.stop is not None
        if not (stops and path.is_file()):
            path = path.with_stem("ema" if self.recipe.ema else "generator")
        if not path.is_file():
            raise RunError(f"{self.folder} has no weights yet; train it with {self.facts.command}")
        return path


def _goes_on(old: AnyRecipe, new: AnyRecipe) -> bool:
    """Say whether a recipe only trains longer, or ends otherwise, than it was begun with."""
    grows = not isinstance(old, FlowRecipe) and old.schedule is not None
    if new.images < old.images or grows:  # growing networks' phases follow from the length
        return False
    free = {"images", "changes"} | ({"stop"} if isinstance(old, FlowRecipe) else set())
    return old.model_dump(exclude=free) == new.model_dump(exclude=free)


def save_weights(folder: Path, networks: dict[str, nn.Module], begun: int) -> None:
    """Write weights without pickle, so that a stranger's file can be loaded safely.

    Args:
        folder: Of the run.
        networks: By the names of their files.
        begun: Images seen when their last round began; it tells how far they have grown.
    """
    for name, network in networks.items():
        state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
        with whole(folder / f"weights/{name}.safetensors") as aside:
            try:
                save_file(state, aside, {"begun": str(begun)})
            except SafetensorError as error:
                raise OSError(str(error)) from error


def describe_data(data: SliceSet, recipe: AnyRecipe) -> dict[str, Any]:
    """Give the facts of a set that synthetic images of it inherit.

    Raises:
        DataError: The recipe draws label maps, and the set has none.
    """
    table = data.table
    if recipe.label_maps:
        data.refuse_without_maps()
    tumours = set(table["tumour"])
    return {
        "tumour": tumours.pop() if len(tumours) == 1 else "unknown",
        "channels": data.about.channels,
        "classes": data.about.classes if recipe.label_maps else (),
        "sequence": "+".join(sorted(set(table["sequence"]))),
        "plane": "+".join(sorted(set(table["plane"]))),
        "pixel_mm": float(table["pixel_mm"].median()),
        "source": data.about.source,
        "data": str(data.folder),
        "data_fingerprint": data.about.fingerprint,
        "training_images": data.available,
        "training_subjects": tuple(
            sorted({*table["subject"], *data.about.training_subjects} - {""})
        ),
    }
