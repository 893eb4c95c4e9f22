"""How a live stream runs and is kept up, and who is told what happens to it."""

from dataclasses import dataclass, field
from typing import Literal

from rt_seg.errors import EngineError

from .crew import EngineCare
from .frame import Rendered
from .upkeep import Upkeep

Display = Literal["aligned", "passthrough"]


@dataclass(frozen=True, slots=True)
class Live:
    """How a live stream runs and is kept up.

    Attributes:
        display: ``aligned`` or ``passthrough``.
        upkeep: How the source is kept up.
        care: How the engine is kept up.
    """

    display: Display = "aligned"
    upkeep: Upkeep = field(default_factory=Upkeep)
    care: EngineCare = field(default_factory=EngineCare)


class Observation:
    """What a pipeline tells while it runs; each may be called by any of its threads and must return at once."""

    def on_signal(self, present: bool, reason: str, seconds: float) -> None:
        """The signal was lost, or is back, at a stream time."""

    def on_engine(self, error: EngineError | None) -> None:
        """The engine failed, or one answers again."""

    def on_output(self, name: str, error: BaseException) -> None:
        """A sink failed."""

    def on_passed_over(self, seconds: float) -> None:
        """The frame of a stream time could not be segmented; called by the thread that refines segmentations."""

    def on_seen_last(self) -> None:
        """The signal is lost or the stream over, and all that was seen was refined; called by the thread that did."""

    def on_shown(self, rendered: Rendered) -> None:
        """A picture was handed to every sink; called by one thread."""
