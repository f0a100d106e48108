"""Scans that a generator drew: a cohort of synthetic heads, and what is known of its generator.

A cohort is a folder of scans as any other, with `cohort.json` beside them. So whatever takes scans
takes it, and whom its generator has seen is passed on to all that is made of it.
"""

from pathlib import Path
from typing import Any, Literal

from mrgantry.common.errors import DataError
from mrgantry.common.files import AnyPath, read_json
from mrgantry.common.frozen import Frozen
from mrgantry.data.about import About
from mrgantry.data.fitness import people_behind
from mrgantry.data.notes import Notes
from mrgantry.data.slices import SliceSet

COHORT = "cohort.json"
NOBODY_KNOWN = (
    "whose scans the generator was trained on is not known, so nobody can tell whether it has seen "
    "those that its heads will be judged beside; --trained-on SET says it"
)


class Generated(Frozen):
    """What `cohort.json` tells of synthetic heads.

    Attributes:
        synthetic: Always true; simulated cohorts have another such file.
        made_by: What drew them.
        source: Where its training data came from in the end.
        training_subjects: Whom it has seen.
        classes: What the label maps tell apart, by their values, as "1=core".
        command: The shell command that draws them again.
        choices: Weights, number, seed, labels and sampler.
        versions: Of the libraries.
        notes: How far the generator was trained.
        trained_on: Of another program's generator: the set that was named for it.
    """

    synthetic: Literal[True] = True
    made_by: str
    source: Literal["real", "simulated"] = "real"
    training_subjects: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    command: str = ""
    choices: dict[str, Any] = {}
    versions: dict[str, str] = {}
    notes: Notes = Notes()
    trained_on: str = ""

    @classmethod
    def of_others(
        cls, scans: Path, made_by: str | None = None, trained_on: AnyPath | None = None
    ) -> "Generated":
        """Describe scans that another program's generator drew.

        Args:
            scans: Their folder, which names the generator unless that is given.
            made_by: The generator.
            trained_on: A set, of whose training split the generator has seen the people.

        Raises:
            DataError: The set cannot be opened.
        """
        taught = SliceSet.open(trained_on, volumes=True) if trained_on else None
        return cls(
            made_by=made_by or scans.resolve().name,
            source=taught.about.source if taught else "real",
            training_subjects=tuple(sorted(people_behind(taught.split("train")))) if taught else (),
            trained_on=str(trained_on or ""),
        )

    @property
    def options(self) -> dict[str, Any]:
        """Give the options of `prepare` that say what scans do not say themselves."""
        if self.command:
            return {}
        return {
            "synthetic": True,
            "made_by": self.made_by,
            "trained_on": self.trained_on or None,
        }

    def describe(self, about: About) -> About:
        """Give what is told of a set that is cut from these scans."""
        assumed = () if self.training_subjects or self.command else (NOBODY_KNOWN,)
        notes = self.notes.model_dump() | about.notes.model_dump()
        notes["assumed"] = (*about.notes.assumed, *assumed)
        return about.model_copy(
            update={
                "synthetic": True,
                "source": self.source,
                "training_subjects": self.training_subjects,
                "notes": Notes(**notes),
            }
        )


def read_generated(scans: Path) -> Generated | None:
    """Read who drew the scans of a folder; None where its `cohort.json` tells of nobody.

    Raises:
        DataError: The file is damaged.
    """
    path = scans / COHORT
    if not path.is_file():
        return None
    values = read_json(path)
    if not isinstance(values, dict) or not values.get("synthetic"):
        return None
    return Generated.of(values, f"{COHORT} of {scans}")


def refuse_unsaid(scans: Path) -> None:
    """Refuse scans that are synthetic by their headers while nobody said so.

    Raises:
        DataError: Always.
    """
    raise DataError(
        f"The headers of scans in {scans} say that a generator drew them, but {COHORT}, which told "
        "whose scans it was trained on, is not there. Put it back; or say --synthetic, and by "
        "--trained-on SET what it was trained on, without which leaks cannot be known."
    )
