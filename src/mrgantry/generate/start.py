"""Weights to begin with: those that come with mrgantry, another run's, or a file.

What begins with a brain of any kind needs far fewer images to draw the brains of one scanner. The
weights that come with mrgantry were trained on simulated heads alone, so they owe nothing to
patients, and nobody who is evaluated can be among them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from mrgantry.common.errors import RecipeError, RunError, unknown
from mrgantry.common.files import fingerprint, whole
from mrgantry.common.frozen import Frozen
from mrgantry.common.weights import fetched
from mrgantry.generate.labels import Labels
from mrgantry.generate.networks.unet import DETAILS, Denoiser, UNet
from mrgantry.generate.recipe import FlowRecipe, GanRecipe
from mrgantry.generate.run import Run, StartedFrom
from mrgantry.generate.state import State

NAMES = ("heads-64", "heads-128", "heads-64x72x64")
SHIPPED = {name: f"{name}.safetensors" for name in NAMES}
KEY = "mrgantry"  # of the description within a file of weights


class Description(Frozen):
    """What a file of weights says of itself.

    Attributes:
        network: The denoiser, as a recipe writes it.
        labels: What it was told.
        source: Where its training data came from in the end.
        training_subjects: Whom it was trained on.
        notice: Whose work it rests on, to be passed on with it.
        command: The shell command that trains it again.
        completes: Name of the weights to which those of the file belong; empty if they are all.
        completes_fingerprint: Of those, since no others of that name will do.
    """

    network: dict[str, Any]
    labels: Labels
    source: Literal["real", "simulated"]
    training_subjects: tuple[str, ...]
    notice: str = ""
    command: str = ""
    completes: str = ""
    completes_fingerprint: str = ""


@dataclass(frozen=True, eq=False)
class Start:
    """Weights to begin with.

    Attributes:
        facts: What a run records of them.
        labels: What their network was told.
        tensors: The weights, by the names of the networks that they are for.
    """

    facts: StartedFrom
    labels: Labels
    tensors: dict[str, dict[str, Tensor]]

    def give(
        self, state: State, labels: Labels, table: pd.DataFrame, classes: int = 0
    ) -> tuple[str, ...]:
        """Give a new training's networks these weights.

        Args:
            state: Before its first step; changed in place.
            labels: What its networks are told.
            table: Its training rows, which tell what is the same for all of them.
            classes: How many of the channels that it draws are classes of label maps.

        Returns:
            What was changed of the weights, a sentence each.

        Raises:
            RecipeError: They are those of another network.
        """
        if state.critic is not None and "critic" not in self.tensors:
            raise RecipeError(
                f"{self.facts.name} holds no critic, so no GAN can start from it. Start from the "
                "run of a GAN, or from nothing: --start none."
            )
        adapted: list[str] = []
        for name, network in state.networks().items():
            tensors = self.tensors.get(name, self.tensors["generator"])
            if isinstance(network, Denoiser):
                tensors, said = self._fitted(network, tensors, labels, table, classes)
                adapted += [remark for remark in said if remark not in adapted]
            self._load(network, tensors)
        return tuple(adapted)

    def _load(self, network: nn.Module, tensors: dict[str, Tensor]) -> None:
        """Load weights, or say in a sentence that they are another network's."""
        own = network.state_dict()
        unlike = [
            key
            for key in own.keys() | tensors.keys()
            if key not in own or key not in tensors or own[key].shape != tensors[key].shape
        ]
        if unlike:
            raise RecipeError(
                f"{self.facts.name} does not fit: it is another network, or one with other labels "
                f"({min(unlike)} and {len(unlike) - 1} more of its parts are other than here). "
                "Start from a run of the same recipe, or from nothing: --start none."
            )
        network.load_state_dict(tensors)

    def _fitted(
        self,
        network: Denoiser,
        tensors: dict[str, Tensor],
        labels: Labels,
        table: pd.DataFrame,
        classes: int,
    ) -> tuple[dict[str, Tensor], list[str]]:
        """Bring a denoiser's weights to this one's labels, channels and blocks, and say how."""
        said: list[str] = []
        embeddings = tensors.get("label.weight")
        width = len(tensors["time.2.bias"]) if "time.2.bias" in tensors else 0
        columns, constant = torch.zeros(width, labels.width), torch.zeros(width)
        if embeddings is not None:
            columns, constant, said = match_labels(self.labels, embeddings, labels, table)
            columns = torch.cat([columns, embeddings[:, self.labels.width :]], 1)  # of places
        if "stem.weight" in tensors and "last.weight" in tensors and width:
            blocks, own_blocks = tensors["stem.weight"].shape[1], network.stem.weight.shape[1]
            if blocks != own_blocks:
                said.append(f"blocks of {blocks} numbers became blocks of {own_blocks}")
            tensors = network.fit(tensors, columns, constant, classes)
        return tensors, said


def match_labels(
    old: Labels, embeddings: Float[Tensor, "e k"], new: Labels, table: pd.DataFrame
) -> tuple[Float[Tensor, "e j"], Float[Tensor, " e"], list[str]]:
    """Find what a network knows of other labels than those it was trained with.

    Args:
        old: Labels it was trained with.
        embeddings: What it knows of each of their values.
        new: Labels that are wanted.
        table: Training rows: what is the same for all of them is known without a label.

    Returns:
        What it knows of each wanted value, what it knows of all images here, and what could not
        be matched, a sentence each. A value that it never met is taken for the mean of all.
    """
    column_of: dict[tuple[str, str], int] = {}
    first = 0
    for name, values in old.levels.items():
        column_of |= {(name, value): first + place for place, value in enumerate(values)}
        first += len(values)
    said: list[str] = []

    def mean(name: str, values: Sequence[str]) -> Tensor:
        places = [column_of[name, value] for value in values if (name, value) in column_of]
        if len(places) < len(values):
            strange = sorted(set(values) - {value for _, value in column_of})
            said.append(f"{name} {', '.join(strange)} was taken for the mean of all")
        places = places or [column_of[name, value] for value in old.levels[name]]
        return embeddings[:, places].mean(1)

    columns = [
        mean(name, [value]) if name in old.levels else torch.zeros(len(embeddings))
        for name, values in new.levels.items()
        for value in values
    ]
    constant = torch.zeros(len(embeddings))
    for name in old.levels:
        if name not in new.levels:
            constant = constant + mean(name, sorted(set(table[name].astype(str))))
    stacked = torch.stack(columns, 1) if columns else torch.zeros(len(embeddings), 0)
    return stacked, constant, said


def find_start(name: str) -> Start:
    """Find weights by the name of those that come with mrgantry, a run, a file or an address.

    Args:
        name: One of those that come with mrgantry, as "heads-64"; the folder of a run; a
            safetensors file that describes itself; or an https address of one with its hash behind
            it, as https://host/file#sha256=...

    Raises:
        RecipeError: There is nothing of that name, or nothing that training can start from.
        RunError: The run has no weights, or they are damaged.
        DataError: The address cannot be reached.
    """
    if name in SHIPPED:
        return _of_file((files("mrgantry.generate") / "starts" / SHIPPED[name]).read_bytes(), name)
    if name.startswith("https://"):
        address, _, mark = name.partition("#sha256=")
        if len(mark) != 64:
            raise RecipeError(
                f"The address {address} needs the hash of its file behind it, as {address}"
                "#sha256=... of 64 digits, so that no other file is taken for it."
            )
        path = fetched(f"{mark[:16]}-{address.rsplit('/', 1)[-1]}", address, mark)
        return _of_file(_checked(path, mark), name)
    path = Path(name)
    if path.is_dir():
        return _of_run(Run.open(path), name)
    if path.is_file():
        return _of_file(path.read_bytes(), name)
    raise RecipeError(unknown("start", name, list(SHIPPED), "folders and files here"))


def _checked(path: Path, mark: str) -> bytes:
    """Read a file whose hash must be this one.

    Raises:
        RecipeError: It is another.
    """
    import hashlib  # noqa: PLC0415 (only weights from elsewhere need it)

    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != mark:
        raise RecipeError(f"{path} has another hash than {mark}; delete it to fetch it again.")
    return content


def _of_run(run: Run, name: str) -> Start:
    """Take the weights of a run."""
    paths = {path.stem: path for path in (run.folder / "weights").glob("*.safetensors")}
    best = run.weights()  # what images are sampled from; says where there are none
    tensors = {key: _tensors(path.read_bytes(), str(path)) for key, path in paths.items()}
    if isinstance(run.recipe, FlowRecipe):
        tensors = {"generator": _tensors(best, name)}
    elif "critic" not in tensors:
        raise RunError(f"{run.folder} has no critic's weights, which a GAN starts from too.")
    facts = StartedFrom(
        name=name,
        fingerprint=fingerprint([best]),
        source=run.facts.source,
        training_subjects=run.facts.training_subjects,
    )
    return Start(facts, run.facts.labels, tensors)


def _of_file(content: bytes, name: str) -> Start:
    """Take the weights of a file that describes itself.

    Raises:
        RecipeError: It is no such file.
    """
    tensors = _tensors(content, name)
    length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    if KEY not in metadata:
        raise RecipeError(
            f"{name} does not say what network it is of and whom it was trained on; take the "
            "folder of its run."
        )
    description = Description.of(json.loads(metadata[KEY]), f"description of {name}")
    mark = fingerprint([content])
    if description.completes:
        return _completed(find_start(description.completes), description, tensors, mark, name)
    facts = StartedFrom(
        name=name,
        fingerprint=mark,
        source=description.source,
        training_subjects=description.training_subjects,
    )
    return Start(facts, description.labels, {"generator": tensors})


def _completed(
    body: Start, description: Description, tensors: dict[str, Tensor], mark: str, name: str
) -> Start:
    """Put weights in the place of some of others, which they were trained with.

    Args:
        body: The others.
        description: What the file says of itself.
        tensors: Its weights.
        mark: Its fingerprint.
        name: Of the weights.

    Raises:
        RecipeError: The others are not those that they were trained with.
    """
    if body.facts.fingerprint != description.completes_fingerprint:
        raise RecipeError(
            f"{name} holds details for other weights than {body.facts.name} has here; make it "
            f"again with {description.command or 'the command that made it'}."
        )
    people = {*body.facts.training_subjects, *description.training_subjects}
    real = "real" in {body.facts.source, description.source}
    facts = StartedFrom(
        name=name,
        fingerprint=fingerprint([body.facts.fingerprint, mark]),
        source="real" if real else "simulated",
        training_subjects=tuple(sorted(people)),
    )
    return Start(facts, description.labels, {"generator": body.tensors["generator"] | tensors})


def _tensors(content: bytes, name: str) -> dict[str, Tensor]:
    """Read weights; the format holds numbers only, and nothing in it is ever run.

    Raises:
        RecipeError: It is damaged, or another format.
    """
    try:
        return {key: value.float() for key, value in load(content).items()}
    except SafetensorError as error:
        raise RecipeError(
            f"{name} is no safetensors file of weights, or a damaged one ({error})."
        ) from error


def save_start(path: Path, run: Run, notice: str, command: str) -> None:
    """Write the weights of a run as a file that others can start from, in half precision.

    Of a network that learnt details alone, only these are written: the rest is that of its start.

    Args:
        path: A .safetensors file.
        run: Whose weights.
        notice: Whose work they rest on.
        command: What trains them again.

    Raises:
        RecipeError: The run's recipe is none that others can start from as a file.
    """
    if isinstance(run.recipe, GanRecipe):
        raise RecipeError("Only a flow's weights can stand in one file; start from the run.")
    network = run.recipe.network
    details = isinstance(network, UNet) and network.learns == "details"
    started = run.facts.started_from
    description = Description(
        network=network.model_dump(),
        labels=run.facts.labels,
        source=run.facts.source,
        training_subjects=run.facts.training_subjects,
        notice=notice,
        command=command,
        completes=started.name if details and started else "",
        completes_fingerprint=started.fingerprint if details and started else "",
    )
    kept = load(run.weights())
    if description.completes:
        kept = {key: value for key, value in kept.items() if key.startswith(DETAILS)}
    halves = {key: value.half() for key, value in kept.items()}
    with whole(path) as aside:
        aside.write_bytes(save(halves, {KEY: description.model_dump_json()}))
