"""Answers of readers, made from confusion tables or drawn from signal detection theory."""

import numpy as np
import pandas as pd


def answers_of(
    counts,
    reader="reader",
    group="",
    block="block",
    undecided=(0, 0, 0, 0),
    cases="",
    **columns,
):
    """Turn (rr, rs, sr, ss) into answers; `undecided` is unknown and none, each by truth.

    Images are called by their place in the table, after `cases`, so that two readers with
    tables of the same numbers of real and synthetic images read the same ones.
    """
    rr, rs, sr, ss = counts
    said = [("real", "real", rr), ("real", "synthetic", rs)]
    said += [("synthetic", "real", sr), ("synthetic", "synthetic", ss)]
    kinds = [("real", "unknown"), ("synthetic", "unknown"), ("real", "none"), ("synthetic", "none")]
    said += [(*kind, n) for kind, n in zip(kinds, undecided, strict=True)]
    pairs = [pair[:2] for pair in said for _ in range(pair[2])]
    frame = pd.DataFrame(pairs, columns=["truth", "answer"])
    frame["case"] = (
        cases + block + "-" + frame["truth"] + frame.groupby("truth").cumcount().astype(str)
    )
    given = {
        "reader": reader,
        "group": group,
        "years": float("nan"),
        "block": block,
        "position": np.arange(1, len(frame) + 1),
        "tumour": "",
        "tumour_answer": "",
        "confidence": float("nan"),
        "reason": "",
        "response_s": 2.0,
        "late": False,
        "sequence": "t1",
        "subject": "",
    }
    return frame.assign(**given | columns)


def tumour_answers(counts, truth):
    """Turn (T as T, T as N, N as T, N as N) of images of one truth into answers."""
    said = [("yes", "yes"), ("yes", "no"), ("no", "yes"), ("no", "no")]
    pairs = [pair for pair, n in zip(said, counts, strict=True) for _ in range(n)]
    right = (len(pairs), 0, 0, 0) if truth == "real" else (0, 0, 0, len(pairs))
    return answers_of(
        right, tumour=[pair[0] for pair in pairs], tumour_answer=[pair[1] for pair in pairs]
    )


def read_by(random, d_prime, criterion=0.0, n=50, levels=5, **columns):
    """Draw one reader of n real and n synthetic images, confident by distance from the line."""
    truth = np.repeat(["real", "synthetic"], n)
    looks = random.normal(np.where(truth == "real", d_prime / 2, -d_prime / 2)) - criterion
    confidence = 1 + np.minimum(levels - 1, np.floor(2 * np.abs(looks)))
    frame = answers_of((n, 0, 0, n), **columns)
    return frame.assign(
        answer=np.where(looks > 0, "real", "synthetic"), confidence=confidence.astype(float)
    )
