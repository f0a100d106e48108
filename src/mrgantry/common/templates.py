"""Pages are filled in from templates, always by the same rules."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def fill_in(template: str, values: dict[str, Any]) -> str:
    """Fill a template in; what is filled in is escaped as HTML.

    Args:
        template: Its path within the package, such as "report/page.html".
        values: By the names that the template has for them.

    Raises:
        jinja2.UndefinedError: The template has a name without a value.
    """
    folder, _, name = template.rpartition("/")
    return _templates(folder).get_template(name).render(values)


@cache
def _templates(folder: str) -> Environment:
    return Environment(
        loader=PackageLoader("mrgantry", folder),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
