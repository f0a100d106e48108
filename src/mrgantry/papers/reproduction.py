"""What a published study is, as one value: its slices, models, readers and printed tables.

Each paper's file holds its own, at the numbers of the paper; a scale makes it smaller.
"""

from collections.abc import Sequence
from typing import Any, Literal

from mrgantry.common.errors import RecipeError, unknown
from mrgantry.common.frozen import Frozen
from mrgantry.data.plan import SlicePlan
from mrgantry.detection.classifier import ClassifierTraining
from mrgantry.detection.printed import PrintedDetection
from mrgantry.generate.recipe import GanRecipe
from mrgantry.papers.alternative import Alternative
from mrgantry.study.printed import Printed, PrintedValues
from mrgantry.study.protocol import Protocol

ScaleName = Literal["smoke", "laptop", "paper"]
SCALES: tuple[ScaleName, ...] = ("smoke", "laptop", "paper")


class Cohort(Frozen):
    """The simulated scans that stand in for the paper's; see `simulate`.

    Attributes:
        subjects: How many people.
        sequences: What is scanned.
        healthy: Share without a tumour.
        high_grade: Share of the tumours that are high grade.
        t1: Protocol of T1; None mixes them.
        visits: Times that each is scanned.
        healthy_visits: Times that each healthy person is; None as the others.
        disease: What the others have.
    """

    subjects: int
    sequences: tuple[str, ...]
    healthy: float = 0.0
    high_grade: float = 1.0
    t1: str | None = None
    visits: int = 1
    healthy_visits: int | None = None
    disease: str = "tumour"


class Model(Frozen):
    """One network that the paper trains.

    Attributes:
        name: Of its folder; different from all others of the study.
        label: In tables; as printed, where a printed row is of it.
        recipe: As the paper has it.
        only: Conditions on the training slices.
        changes: What the paper changes in the recipe, by key.
        epochs: Passes over its slices in the paper, or in our reading of it; 0 if it is not of
            the paper.
        timed: What its time of training is listed under; empty leaves it in the sum alone.
        converges: Whether it does so in the paper; None if that is unsaid.
    """

    name: str
    label: str
    recipe: GanRecipe
    only: tuple[str, ...] = ()
    changes: dict[str, str] = {}
    epochs: int = 0
    timed: str = ""
    converges: bool | None = None

    @property
    def trained(self) -> GanRecipe:
        """Give the recipe with its changes, so that the run's command repeats it."""
        words = [f"{key}={value}" for key, value in self.changes.items()]
        return self.recipe.set(words) if words else self.recipe


class ImageType(Frozen):
    """A set of slices, and what is trained on it.

    Attributes:
        name: Of its folder.
        label: In tables.
        plan: Its slices.
        models: Trained on it.
        poses: Images of a volume as the paper counts them, where none are stored.
    """

    name: str
    label: str
    plan: SlicePlan
    models: tuple[Model, ...]
    poses: int = 0


class StudyBlock(Frozen):
    """A block of the reader study.

    Attributes:
        name: As the printed row, where rows are blocks.
        image_type: Where real images are from.
        models: Whose images are shown.
    """

    name: str
    image_type: str
    models: tuple[str, ...]


class Seat(Frozen):
    """A place for a reader to come, who is called R1, R2 and so on until then.

    Attributes:
        group: Of readers, as in the paper.
        paper: Who sat there in the paper; "" if unsaid.
    """

    group: str = ""
    paper: str = ""


class ReadingPlan(Frozen):
    """The reader study.

    Attributes:
        protocol: What is asked.
        blocks: In the order of the paper.
        seats: For as many readers as the paper had.
        printed: What the paper's readers answered.
        quiz: Images of a quiz with its answers, where the paper has one.
    """

    protocol: Protocol
    blocks: tuple[StudyBlock, ...]
    seats: tuple[Seat, ...]
    printed: tuple[Printed, ...]
    quiz: int = 0


class Experiment(Frozen):
    """The detection experiment; see `detect`.

    Attributes:
        image_type: Whose slices and models.
        training: How classifiers are trained.
        seeds: Classifiers of each condition.
        real_share: Share of unchanged images beside classically changed ones.
        ratios: Synthetic images to each other one.
        printed: What the paper prints.
    """

    image_type: str
    training: ClassifierTraining
    seeds: int = 3
    real_share: float = 0.5
    ratios: tuple[float, ...] = (1.0,)
    printed: PrintedDetection


class Scale(Frozen):
    """How large a reproduction is. What is None or empty stays as in the paper.

    Attributes:
        name: Of the scale.
        limits: What a run at this scale can show and what it cannot, in one sentence.
        subjects: Of a simulated cohort.
        sizes: What the paper's sizes of images become.
        plan: Fields of all plans that change.
        images: Length of each training.
        recipe: Changes of all recipes, by key.
        networks: Changes of the recipes with one kind of network.
        models: Names of the models that are trained, each with changes of its recipe; empty
            trains all.
        samples: Synthetic images of each model.
        draws: Half-samples of each measure at most.
        reading: Changes of the protocol.
        shown: Models whose images readers see in the place of another's, by the name of the latter,
            where that one draws noise at this length.
        detection: Fields of the detection experiment that change.
    """

    name: ScaleName
    limits: str
    subjects: int | None = None
    sizes: dict[int, int] = {}
    plan: dict[str, Any] = {}
    images: int | None = None
    recipe: dict[str, str] = {}
    networks: dict[str, dict[str, str]] = {}
    models: dict[str, dict[str, str]] = {}
    samples: int | None = None
    draws: int | None = None
    reading: tuple[str, ...] = ()
    shown: dict[str, str] = {}
    detection: dict[str, Any] = {}

    def size(self, size: int) -> int:
        """Give the size that images get instead of the paper's."""
        return self.sizes.get(size, size)

    def trains(self, model: Model) -> bool:
        """Say whether a model is trained at this scale."""
        return not self.models or model.name in self.models


class Said(Frozen):
    """What the paper says of its own doing; the page lays this run's beside it.

    Attributes:
        scans: Whose scans.
        slices: How many of which.
        training: How long each network was trained.
        time: How long that took, and on what.
        samples: How many synthetic images were looked at.
        labels: How many of them with a tumour and without; "" without a detection experiment.
        readers: Who read, and how; "" without a reader study.
    """

    scans: str
    slices: str
    training: str
    time: str
    samples: str
    labels: str = ""
    readers: str = ""


class UserChanges(Frozen):
    """What a user changes in a study; None leaves it as it is.

    Attributes:
        where: Conditions on subjects in place of the paper's; none takes all subjects.
        tumour_labels: Pattern of the names of tumour label maps.
        person: Regular expression whose group finds the person in a scan's path.
        series: Patterns of the series that are taken of several; see `SlicePlan`.
        splits: Shares of subjects for train, validation and test.
        weights: What the classifiers of the detection experiment begin with.
    """

    where: tuple[str, ...] | None = None
    tumour_labels: str | None = None
    person: str | None = None
    series: tuple[str, ...] | None = None
    splits: tuple[float, float, float] | None = None
    weights: Literal["imagenet", "scratch"] | None = None

    @property
    def of_scans(self) -> bool:
        """Say whether anything is changed of how scans of one's own are found."""
        found = (self.tumour_labels, self.person, self.series)
        return self.where is not None or any(found)

    def options(self) -> dict[str, Any]:
        """Give the options of `reproduce` that say the same."""
        return {
            "where": [""] if self.where == () else self.where,
            "tumour_labels": self.tumour_labels,
            "person": self.person,
            "series": self.series,
            "splits": ":".join(f"{share:g}" for share in self.splits) if self.splits else None,
            "weights": self.weights,
        }


class Reproduction(Frozen):
    """A published study, whole.

    Attributes:
        study: Short name.
        title: Of the page.
        citation: Of the paper.
        cohort: Simulated scans, where there are no others.
        image_types: Slices and models.
        samples: Synthetic images of each model.
        said: What the paper says of its doing.
        notes: Known defects of the paper's numbers, and what it leaves unsaid.
        scales: Smaller ones, and "paper".
        reading: The reader study, if there was one.
        values: A printed table of measures, if there is one.
        selected: Whether implausible images are discarded by a rule, as the paper did by hand.
        selected_label: A column whose label images must look like, or be discarded; "" for none.
        detection: The detection experiment, if there was one.
        scale: Which this is.
        draws: Half-samples of each measure at most; None takes each measure's own number.
        changes: What a user has changed in it.
        alternatives: Where the paper can be read in two ways.
        taken: Names of the alternatives that are taken.
        walks: Whether the paper walks between two latents, to look for overfitting.
        ablations: Recipes whose comparison the paper speaks of, with "{size}" in their names.
    """

    study: str
    title: str
    citation: str
    cohort: Cohort
    image_types: tuple[ImageType, ...]
    samples: int
    said: Said
    notes: tuple[str, ...]
    scales: tuple[Scale, ...]
    reading: ReadingPlan | None = None
    values: PrintedValues | None = None
    selected: bool = False
    selected_label: str = ""
    detection: Experiment | None = None
    scale: ScaleName = "paper"
    draws: int | None = None
    changes: UserChanges = UserChanges()
    alternatives: tuple[Alternative, ...] = ()
    taken: tuple[str, ...] = ()
    walks: bool = False
    ablations: tuple[str, ...] = ()

    @property
    def own_epochs(self) -> bool:
        """Say whether epochs are counted over the slices that are really trained on."""
        return any(other.own_epochs for other in self.alternatives if other.name in self.taken)

    def read_as(self, names: Sequence[str]) -> "Reproduction":
        """Give the same study with some of its alternatives taken; before it is made smaller.

        Raises:
            RecipeError: There is none of a name, or two of them cannot be had together.
        """
        types = self.image_types
        known = {alternative.name: alternative for alternative in self.alternatives}
        for name in names:
            if name not in known:
                raise RecipeError(unknown("alternative", name, list(known), self.study))
            types = tuple(_read_as(image_type, known[name]) for image_type in types)
        return self.model_copy(update={"image_types": types, "taken": tuple(dict.fromkeys(names))})

    def scale_of(self, name: str) -> Scale:
        """Look a scale up.

        Raises:
            RecipeError: There is none of that name.
        """
        for scale in self.scales:
            if scale.name == name:
                return scale
        raise RecipeError(unknown("scale", name, [scale.name for scale in self.scales], self.study))

    def at(self, name: str) -> "Reproduction":
        """Give the same study at another scale.

        Raises:
            RecipeError: There is none of that name, or a change does not fit a recipe.
        """
        scale = self.scale_of(name)
        if scale.images is not None and self.own_epochs:
            raise RecipeError(
                f"The scale {name} has a length of training of its own; the alternative own-epochs "
                "is for --scale paper."
            )
        types = tuple(
            _smaller(image_type, scale)
            for image_type in self.image_types
            if any(map(scale.trains, image_type.models))
        )
        reading = self.reading
        if reading:
            trained = {model.name for image_type in types for model in image_type.models}
            blocks = tuple(
                block.model_copy(
                    update={"models": tuple(scale.shown.get(name, name) for name in block.models)}
                )
                for block in reading.blocks
            )
            blocks = tuple(block for block in blocks if trained.issuperset(block.models))
            protocol = reading.protocol.set(scale.reading) if scale.reading else reading.protocol
            reading = reading.model_copy(update={"protocol": protocol, "blocks": blocks})
        detection = self.detection
        if detection:
            detection = Experiment.of(detection.model_dump() | scale.detection, "experiment")
        return self.model_copy(
            update={
                "scale": scale.name,
                "cohort": self.cohort.model_copy(
                    update={"subjects": scale.subjects or self.cohort.subjects}
                ),
                "image_types": types,
                "samples": scale.samples or self.samples,
                "reading": reading,
                "detection": detection,
                "draws": scale.draws,
            }
        )

    def changed(self, changes: UserChanges) -> "Reproduction":
        """Give the same study with a user's changes, at the scale that it has.

        Raises:
            RecipeError: A change does not fit the plans.
        """
        asked = changes.model_dump(exclude_none=True)
        weights = asked.pop("weights", None)
        types = tuple(
            image_type.model_copy(
                update={
                    "plan": SlicePlan.of(
                        image_type.plan.model_dump() | asked, f"plan of {image_type.name}"
                    )
                }
            )
            for image_type in self.image_types
        )
        detection = self.detection
        if detection and weights:
            training = detection.training.model_copy(update={"weights": weights})
            detection = detection.model_copy(update={"training": training})
        update = {"image_types": types, "detection": detection, "changes": changes}
        return self.model_copy(update=update)

    def models(self) -> list[tuple[ImageType, Model]]:
        """List all models, each with its slices."""
        return [
            (image_type, model) for image_type in self.image_types for model in image_type.models
        ]


def _read_as(image_type: ImageType, alternative: Alternative) -> ImageType:
    """Change a plan and the recipes that an alternative concerns."""
    plan = SlicePlan.of(
        image_type.plan.model_dump() | alternative.plan, f"plan of {image_type.name}"
    )
    models = tuple(
        model.model_copy(update={"changes": model.changes | alternative.recipe})
        if alternative.concerns(model.recipe.network.kind, model.recipe.loss.kind)
        else model
        for model in image_type.models
    )
    return image_type.model_copy(update={"plan": plan, "models": models})


def _smaller(image_type: ImageType, scale: Scale) -> ImageType:
    size = {"size": scale.size(image_type.plan.size)}
    plan = SlicePlan.of(
        image_type.plan.model_dump() | size | scale.plan, f"plan of {image_type.name}"
    )
    models = tuple(_shorter(model, scale) for model in image_type.models if scale.trains(model))
    return image_type.model_copy(update={"plan": plan, "models": models})


def _shorter(model: Model, scale: Scale) -> Model:
    """Change a model's recipe as the scale says: its size, its length, its widths."""
    recipe, changes = model.trained, dict(model.changes)
    if scale.size(recipe.size) != recipe.size:
        changes["size"] = str(scale.size(recipe.size))
    if scale.images is not None:
        changes["images"] = str(scale.images)
    changes |= scale.recipe | scale.networks.get(recipe.network.kind, {})
    changes |= scale.models.get(model.name, {})
    return model.model_copy(update={"changes": changes})
