"""The images of a reader study that were most often mistaken, and the reasons given."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from mrgantry.common.picture import png
from mrgantry.study.protocol import SIDES, TRUTHS

Pictures = Mapping[str, UInt8[np.ndarray, "_ _"]]
SHOWN = 12  # images of either kind


def mistaken(answers: pd.DataFrame, pictures: Pictures, truths: Sequence[str]) -> dict[str, Any]:
    """Find the images of some truths that were most often answered wrongly.

    First come those that most readers mistook; among these, those of the highest mean
    confidence; then the order of case ids, which are random.

    Args:
        answers: With reader, case, truth, answer, confidence, sequence and block.
        pictures: Of cases.
        truths: Of the images.
    """
    decided = answers["answer"].isin(set(TRUTHS) | set(SIDES))
    rows = answers[answers["truth"].isin(truths) & decided]
    wrong = rows[rows["answer"] != rows["truth"]]
    count = wrong.groupby("case").size()
    table = pd.DataFrame({"k": count, "n": rows.groupby("case").size().reindex(count.index)})
    table["confidence"] = wrong.groupby("case")["confidence"].mean()
    table = table.rename_axis("id").assign(case=table.index)
    table = table.sort_values(
        ["k", "confidence", "case"], ascending=[False, False, True], na_position="last"
    )
    about = wrong.drop_duplicates("case").set_index("case")
    chosen = [case for case in table["case"] if case in pictures][:SHOWN]
    return {
        "images": int(rows["case"].nunique()),
        "mistaken": len(table),
        "all": int((table["k"] == table["n"]).sum()),
        "pictures": [
            {
                "picture": png(np.asarray(pictures[case])),
                "case": case,
                "count": f"{table.loc[case, 'k']:g} of {table.loc[case, 'n']:g}",
                "confidence": _confidence(table.loc[case, "confidence"]),
                "about": _about(about.loc[case]),
            }
            for case in chosen
        ],
    }


def _confidence(value: float) -> str:
    return "" if np.isnan(value) else f"confidence {value:.1f}"


def _about(row: pd.Series) -> str:
    return ", ".join(str(row[key]) for key in ("sequence", "block") if _text(row[key]))


def _text(value: Any) -> str:
    """Give a text, or "" for a missing one."""
    return value.strip() if isinstance(value, str) else ""


def reasons(answers: pd.DataFrame, pictures: Pictures, word: str) -> Iterator[dict[str, Any]]:
    """List the reasons given, of wrong answers first.

    Args:
        answers: With reason, reader, truth, answer and case.
        pictures: Of cases.
        word: What readers call a synthetic image.
    """
    rows = answers[answers["reason"].map(_text) != ""].copy()
    rows["right"] = rows["truth"] == rows["answer"]
    said = {"synthetic": word, "none": "no answer"}
    for row in rows.sort_values(["right", "truth"], kind="stable").to_dict("records"):
        yield {
            "picture": png(np.asarray(pictures[row["case"]])) if row["case"] in pictures else "",
            "reader": row["reader"],
            "truth": said.get(row["truth"], row["truth"]),
            "answer": said.get(row["answer"], row["answer"]),
            "right": row["right"],
            "reason": _text(row["reason"]),
        }
