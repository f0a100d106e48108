"""Where a paper can be read in two ways: what is taken here, and how the other is had."""

from typing import Any

from mrgantry.common.frozen import Frozen


class Alternative(Frozen):
    """A place where a paper is silent or ambiguous, with two values that both exist.

    Attributes:
        name: What `reproduce --alternative` takes for the other value.
        about: What is read in two ways.
        here: What is taken unless asked otherwise, with its reason.
        other: What the alternative takes.
        plan: Fields of all plans that the alternative changes.
        recipe: Values of recipes that it changes, by key.
        networks: Kinds of network whose recipes it changes; empty changes those of any kind.
        losses: Kinds of loss whose recipes it changes; empty changes those of any kind.
        own_epochs: Whether the lengths of training become the paper's epochs over the slices
            really trained on.
    """

    name: str
    about: str
    here: str
    other: str
    plan: dict[str, Any] = {}
    recipe: dict[str, str] = {}
    networks: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    own_epochs: bool = False

    def concerns(self, network: str, loss: str) -> bool:
        """Say whether recipes with these kinds of network and loss are changed."""
        return (not self.networks or network in self.networks) and (
            not self.losses or loss in self.losses
        )


def own_epochs(epochs: str, slices: str) -> Alternative:
    """Give the alternative of counting epochs over the slices that are really trained on.

    Args:
        epochs: How many the paper has, in words.
        slices: Of what the recipes count them.
    """
    return Alternative(
        name="own-epochs",
        about="What an epoch is",
        here=f"{epochs}, counted over {slices}: as many images as the paper's networks have seen, "
        "also where fewer people are trained on, since others are held out",
        other="as many passes over the slices that are really trained on",
        own_epochs=True,
    )
