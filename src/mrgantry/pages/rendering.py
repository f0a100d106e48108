"""How pages are filled in, and how numbers are written in them."""

from math import isfinite
from typing import Any

from mrgantry.common.templates import fill_in
from mrgantry.common.version import VERSION


def render(template: str, **values: Any) -> str:
    """Fill a page of this folder in."""
    return fill_in("pages", template, {"version": VERSION, **values})


def number(value: float) -> str:
    """Write a number with three significant digits, without exponents."""
    if value == 0 or not isfinite(value):
        return str(value)
    exponent = int(f"{value:.2e}".split("e")[1])  # after rounding, so that 0.9999 is 1.00
    digits = max(0, 2 - exponent)
    return f"{value:,.{digits}f}"


def between(low: float, high: float) -> str:
    """Write an interval."""
    return f"{number(low)} to {number(high)}"
