"""The drawing of the rooms, from the contract of layers that `lint-imports` checks."""

import tomllib
from html import escape
from importlib import import_module
from pathlib import Path

WIDTH, LAYER, GAP, MARGIN = 860, 58, 12, 8


def draw_rooms(project: Path, out: Path) -> None:
    """Draw a box a package, those above may import those below.

    Args:
        project: The file pyproject.toml, which holds the layers.
        out: The SVG file.
    """
    contract = tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [layer.split(" | ") for layer in contract["contracts"][0]["layers"]]
    height = len(layers) * (LAYER + GAP) - GAP + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="The packages of mrgantry from top to bottom; imports point down" '
        'font-family="system-ui, sans-serif">'
    ]
    for number, layer in enumerate(layers):
        top = MARGIN + number * (LAYER + GAP)
        wide = (WIDTH - 2 * MARGIN - (len(layer) - 1) * GAP) / len(layer)
        for place, room in enumerate(layer):
            parts += _box(room, MARGIN + place * (wide + GAP), top, wide)
    out.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _box(room: str, left: float, top: float, wide: float) -> list[str]:
    """Draw one package: its name, and the first sentence of its docstring in at most two lines."""
    said = (import_module(room).__doc__ or "").split("\n")[0]
    lines, line = [], ""
    for word in said.split():
        if 7.0 * len(f"{line} {word}") > wide - 28 and line:
            lines, line = [*lines, line], word
        else:
            line = f"{line} {word}".strip()
    lines.append(line)
    first = top + (36 if len(lines) == 1 else 34)
    return [
        f'<rect x="{left:g}" y="{top}" width="{wide:g}" height="{LAYER}" rx="7" fill="#eef4f8" '
        'stroke="#9db4c4"/>',
        f'<text x="{left + 14:g}" y="{top + 20}" font-size="15" font-weight="600" '
        f'fill="#17384f">{escape(room.removeprefix("mrgantry."))}</text>',
        *(
            f'<text x="{left + 14:g}" y="{first + 4 + 15 * place:g}" font-size="12.5" '
            f'fill="#3c4a55">{escape(text)}</text>'
            for place, text in enumerate(lines[:2])
        ),
    ]
