"""`Assess`: preparing a frame, and judging now and then whether its picture can be assessed at all."""

from collections.abc import Callable

from .frame import Frame, Prepared
from .picture_state import SIDE, PictureJudge
from .state import Status

_EVERY_SECONDS = 0.1  # of stream time: a state must hold longer than that to be said, and judging takes a millisecond


class Assess:
    """Prepares frames and says on the board what is wrong with the picture. Passive; frames in their order.

    It is not on the way of a picture that does not wait for its mask.

    Args:
        prepare: Makes a frame ready.
        status: Where it is said.
    """

    def __init__(self, prepare: Callable[[Frame], Prepared], status: Status) -> None:
        self._prepare = prepare
        self._status = status
        self._judge = PictureJudge()
        self._judged_at: float | None = None
        self._losses = 0

    def __call__(self, frame: Frame) -> Prepared:
        """Prepare one frame; raises what `prepare` raises."""
        prepared = self._prepare(frame)
        if self._losses != self._status.losses:
            self._losses = self._status.losses
            self._judge.reset()
            self._judged_at = None
        if self._judged_at is None or not 0 <= frame.pts_seconds - self._judged_at < _EVERY_SECONDS:
            self._judged_at = frame.pts_seconds
            small = prepared.tensor
            fine_enough = min(small.shape[:2]) >= SIDE  # what a network for smaller ones gets would look blurred
            image = small if fine_enough else frame.image[prepared.geometry.region.slices]
            self._status.picture = self._judge(image, frame.pts_seconds)
        return prepared
