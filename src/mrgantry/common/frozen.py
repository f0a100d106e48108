"""Values that are complete, cannot change, and say what is wrong with them."""

import difflib
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mrgantry.common.errors import RecipeError

Kind = TypeVar("Kind", bound="Frozen")


class Frozen(BaseModel):
    """A frozen value that refuses unknown keys; the base of plans and recipes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def of(cls: type[Kind], values: dict[str, Any], what: str) -> Kind:
        """Make a value from plain data, or say in a sentence why it cannot be one.

        Args:
            values: Keys and values, for example read from JSON.
            what: What to call it in the message, such as "recipe demo".

        Raises:
            RecipeError: A key is unknown, a value has the wrong type or range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problem = error.errors()[0]
            key = ".".join(str(part) for part in problem["loc"])
            if problem["type"] == "extra_forbidden":
                raise RecipeError(unknown("key", key, cls.keys(), what)) from error
            raise RecipeError(
                f"{key!r} of the {what} is {problem['input']!r}: {problem['msg']}."
            ) from error

    @classmethod
    def keys(cls) -> list[str]:
        """List the names of the fields."""
        return list(cls.model_fields)


def unknown(kind: str, word: str, known: list[str], where: str) -> str:
    """Say that a word is not known, and which one may have been meant."""
    close = difflib.get_close_matches(
        word.rsplit(".", maxsplit=1)[-1], [k.split(".")[-1] for k in known], 1
    )
    match = next((k for k in known if close and k.split(".")[-1] == close[0]), None)
    hint = f"Did you mean {match!r}?" if match else f"Known: {', '.join(sorted(known))}."
    return f"Unknown {kind} {word!r} in the {where}. {hint}"
