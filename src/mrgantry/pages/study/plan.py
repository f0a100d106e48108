"""The plan of a reader study: a table, a picture, and a text to register before reading."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mrgantry.common.files import whole, write_json, write_text
from mrgantry.common.tables import write_table
from mrgantry.pages.drawing import INK, blank, styled
from mrgantry.pages.rendering import render
from mrgantry.pages.study import words
from mrgantry.study.planning import PlannedSize, StudyPlan, drawn_from
from mrgantry.study.protocol import Protocol
from mrgantry.study.statistics.hillis import FEW
from mrgantry.study.statistics.population import Population

DPI = 150


def write_plan(
    out: Path,
    plan: StudyPlan,
    population: Population,
    protocol: Protocol,
    sizes: Sequence[PlannedSize],
    chosen: PlannedSize | None,
    *,
    title: str,
    command: str,
) -> None:
    """Write `plan.csv`, `plan.md` and `plan.png`, and, once a size is chosen, what freezes it.

    That is `protocol.json`, which `mrgantry study create --protocol` takes, and
    `preregistration.md`.

    Args:
        out: The folder.
        plan: What the study is for.
        population: How readers and images vary.
        protocol: What readers are asked; its numbers become those of the chosen size.
        sizes: That were simulated.
        chosen: One of them; None if none has the wished power.
        title: Of the study.
        command: The shell command that makes these files again.
    """
    noun = "pairs" if protocol.pairs else "images"
    write_table(out / "plan.csv", [_row(size) for size in sizes])
    with whole(out / "plan.png") as aside:
        picture = power_chart(plan, sizes, chosen, noun)
        FigureCanvasAgg(picture)
        picture.savefig(aside, dpi=DPI, metadata={"Software": "mrgantry"}, facecolor="white")
    values = {
        "title": title,
        "noun": noun,
        "plan": plan,
        "population": population,
        "truth": drawn_from(plan, population),
        "goal": goal_sentence(plan),
        "chosen": chosen,
        "few": FEW,
        "percent": words.percent,
        "range_percent": words.range_percent,
        "command": command,
    }
    text = render("study/plan.md", table=_table(sizes), protocol=protocol, **values)
    write_text(out / "plan.md", text)
    if chosen is not None:
        frozen = frozen_protocol(protocol, plan, chosen)
        write_json(out / "protocol.json", frozen.model_dump(mode="json"))
        text = render("study/preregistration.md", protocol=frozen, **values)
        write_text(out / "preregistration.md", text)


def frozen_protocol(protocol: Protocol, plan: StudyPlan, size: PlannedSize) -> Protocol:
    """Give the protocol with the planned numbers.

    All readers see the same images, half of them real, as the simulated ones did.
    """
    changes = [f"cases={size.images}", f"margin={plan.margin:g}", "same_cases=true"]
    return protocol.set([*changes, "share=[0.5, 0.5]"])


def goal_sentence(plan: StudyPlan) -> str:
    """Say what is to be shown, and of whom."""
    if plan.goal == "equivalence":
        return (
            "the page of the scored study says “guessing to within "
            f"{words.points(plan.margin)}”, where no reader tells real from synthetic images"
        )
    return (
        "the page of the scored study says that images were told apart, where the balanced "
        f"accuracy of all readers and images is {words.percent(plan.accuracy)} on average"
    )


def _row(size: PlannedSize) -> dict[str, Any]:
    ends = size.power.wilson
    return {
        "readers": size.readers,
        "images": size.images,
        "answers": size.answers,
        "studies": size.power.n,
        "reached": size.power.k,
        "power": size.power.value,
        "low": ends.low,
        "high": ends.high,
    }


def _table(sizes: Sequence[PlannedSize]) -> dict[str, Any]:
    """Lay the powers out, a row for each number of readers."""
    images = list(dict.fromkeys(size.images for size in sizes))
    readers = list(dict.fromkeys(size.readers for size in sizes))
    power = {(size.readers, size.images): size.power for size in sizes}
    rows = [
        (count, [words.percent(power[count, number].value) for number in images])
        for count in readers
    ]
    return {"images": images, "rows": rows}


def power_chart(
    plan: StudyPlan,
    sizes: Sequence[PlannedSize],
    chosen: PlannedSize | None,
    noun: str = "images",
) -> Figure:
    """Draw the power against the number of images, a line for each number of readers.

    Args:
        plan: Which power is wished.
        sizes: That were simulated.
        chosen: The size that is ringed; None rings none.
        noun: What each reader judges.
    """
    figure, (axes,) = blank(6.4, 4.0)
    readers = list(dict.fromkeys(size.readers for size in sizes))
    for (name, style), count in zip(styled(list(map(str, readers))).items(), readers, strict=True):
        line = [size for size in sizes if size.readers == count]
        power = [100 * (size.power.value or 0.0) for size in line]
        ends = [
            (100 * (s.power.wilson.low or 0.0), 100 * (s.power.wilson.high or 0.0)) for s in line
        ]
        errors = [
            [middle - low for middle, (low, _) in zip(power, ends, strict=True)],
            [high - middle for middle, (_, high) in zip(power, ends, strict=True)],
        ]
        axes.errorbar(
            [size.images for size in line],
            power,
            yerr=errors,
            color=style.colour,
            marker=style.mark,
            linestyle=style.dash,
            linewidth=1.2,
            markersize=4,
            elinewidth=0.7,
            label=f"{name} reader{'s' if count > 1 else ''}",
        )
    axes.axhline(100 * plan.power, color=INK, linewidth=0.8, linestyle="--")
    if chosen is not None:
        place = chosen.images, 100 * (chosen.power.value or 0.0)
        axes.plot(*place, "o", markersize=13, markerfacecolor="none", color=INK)
    axes.set_xlabel(f"{noun} that each reader judges")
    axes.set_ylabel("chance of reaching the goal, %")
    axes.set_ylim(-2, 102)
    axes.set_title(_heading(plan), loc="left", fontsize=9)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return figure


def _heading(plan: StudyPlan) -> str:
    if plan.goal == "equivalence":
        return f"Showing that readers guess to within {words.points(plan.margin)}, if they do"
    return f"Showing that readers tell, at an accuracy of {words.percent(plan.accuracy)}"
