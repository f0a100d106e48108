"""Values that are complete, cannot change, and say what is wrong with them."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mrgantry.common.errors import RecipeError, unknown

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
            if problem["type"] == "union_tag_invalid":
                tags = problem["ctx"]["expected_tags"].replace("'", "").split(", ")
                raise RecipeError(unknown(key, problem["ctx"]["tag"], tags, what)) from error
            raise RecipeError(
                f"{key!r} of the {what} is {problem['input']!r}: {problem['msg']}."
            ) from error

    @classmethod
    def keys(cls) -> list[str]:
        """List the names of the fields."""
        return list(cls.model_fields)
