"""What time it is, by a clock that never runs backwards."""

import time
from dataclasses import dataclass, field


def _running() -> float:
    """Give seconds that nobody sets, and that go on while the machine sleeps where it can tell."""
    asleep_too = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if asleep_too is None else time.clock_gettime(asleep_too)


@dataclass(frozen=True)
class Clock:
    """Seconds since 1970, as the machine had them when the server began.

    Somebody may set the machine's clock while readers read: what they have left of an image's
    time must not follow, and no answer may come before its question. So time goes on evenly from
    the beginning, which is never before what a server before this one has noted.

    Attributes:
        least: The latest time that was noted before.
    """

    least: float = 0.0
    _begun: float = field(default_factory=time.time)
    _since: float = field(default_factory=_running)

    def now(self) -> float:
        """Give the time."""
        return max(self._begun, self.least) + _running() - self._since
