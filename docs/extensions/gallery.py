"""The gallery: what recipes draw, with how each picture came about."""

import json
from pathlib import Path

HEAD = """# Gallery

What recipes draw when they are trained on **simulated** heads: real scans of people, and what
networks drew of them, are not published here. So it shows what an architecture can and cannot
draw, and is no evidence about patients. Nobody chose the pictures: each is the contact sheet of
a synthetic set, and its run is as long as it says. Recipes that are not here have not been trained
on simulated heads for as long as it takes; [the log](LOG.md) tells of them.

"""


def write_gallery(pictures: Path, out: Path) -> None:
    """Write the page from the pictures and the facts beside them.

    Args:
        pictures: Folder with `pictures.json`, a list of objects with `file`, `recipe`, `length`,
            `about`, and `command`, and the files that it names.
        out: The page.
    """
    facts = json.loads((pictures / "pictures.json").read_text(encoding="utf-8"))
    parts = [HEAD]
    for each in facts:
        parts.append(f"## {each['recipe']}\n\n{each['length']}. {each['about']}\n\n")
        alt = f"Images drawn by {each['recipe']}"
        parts.append(f"```{{image}} images/gallery/{each['file']}\n:alt: {alt}\n```\n\n")
        parts.append(f"```\n{each['command']}\n```\n\n")
    text = "".join(parts)
    if not out.is_file() or out.read_text(encoding="utf-8") != text:
        out.write_text(text, encoding="utf-8")
