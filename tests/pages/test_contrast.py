"""Whether what is written on pages can be read: contrasts by WCAG 2.2, level AA."""

import re
from importlib.resources import files

import pytest

SHEETS = {
    "report": ("pages/page.css", ["#fbfcfc"], ["ink", "soft", "real", "synthetic"]),
    "reading": (
        "study/server/pages/style.css",
        ["ground", "raised"],
        ["ink", "soft", "accent", "good", "bad"],
    ),
    "quiz": (
        "study/server/pages/quiz.css",
        ["page", "card"],
        ["ink", "soft", "right", "wrong"],
    ),
}


def luminance(colour):
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_contrast_by_hand():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("sheet", SHEETS)
def test_words_stand_out_from_their_ground(sheet):
    name, grounds, inks = SHEETS[sheet]
    text = (files("mrgantry") / name).read_text()
    named = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", text))
    for ground in grounds:
        for ink in inks:
            found = contrast(named[ink], named.get(ground, ground))
            assert found >= 4.5, f"{ink} on {ground}: {found:.2f}"
