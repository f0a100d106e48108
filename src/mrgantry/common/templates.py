"""Pages are filled in from templates, always by the same rules."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def fill_in(folder: str, template: str, values: dict[str, Any]) -> str:
    """Fill a template in; what is filled in is escaped as HTML.

    Args:
        folder: Of the templates, within the package, such as "pages"; those that a template
            includes are sought there too.
        template: Its path within the folder.
        values: By the names that the template has for them.

    Raises:
        jinja2.UndefinedError: The template has a name without a value.
    """
    return _templates(folder).get_template(template).render(values)


@cache
def _templates(folder: str) -> Environment:
    return Environment(
        loader=PackageLoader("mrgantry", folder),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
