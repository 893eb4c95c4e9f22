"""How the learning rate runs over steps or over time: half a cosine, or smaller whenever validation stands still."""

import math
import time


class Schedule:
    """Warm-up, then half a cosine down to a hundredth. Not thread-safe.

    Args:
        peak: Learning rate after the warm-up.
        total_steps: Steps of the run.
        warmup_steps: Steps of the warm-up.
        budget_seconds: Time for the whole run, or None. Whichever of steps and time is nearer to its end decides.
        elapsed_seconds: Time that earlier parts of a resumed run took.
    """

    def __init__(
        self,
        peak: float,
        total_steps: int,
        warmup_steps: int,
        budget_seconds: float | None = None,
        elapsed_seconds: float = 0.0,
    ) -> None:
        self._peak = peak
        self._total_steps = total_steps
        self._warmup_steps = warmup_steps
        self._budget_seconds = budget_seconds
        self._started = time.monotonic() - elapsed_seconds

    @property
    def elapsed_seconds(self) -> float:
        """Time spent on the run so far, earlier parts included."""
        return time.monotonic() - self._started

    def progress(self, step: int) -> float:
        """Share of the run that is over, 0 to 1."""
        by_steps = step / self._total_steps
        by_time = self.elapsed_seconds / self._budget_seconds if self._budget_seconds else 0.0
        return min(max(by_steps, by_time), 1.0)

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0 over the whole run."""
        warmup = min((step + 1) / max(self._warmup_steps, 1), 1.0)
        return self._peak * warmup * self._fall(step)

    def observe(self, validation_loss: float) -> None:
        """Take note of the loss of a validation; the cosine needs none."""

    def _fall(self, step: int) -> float:
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.progress(step)))


class PlateauSchedule(Schedule):
    """Warm-up, then a tenth of the rate after every five validations without a lower loss. Arguments as `Schedule`."""

    PATIENCE = 5
    FACTOR = 0.1

    _lowest = math.inf
    _waited = 0
    _share = 1.0

    def observe(self, validation_loss: float) -> None:
        """Count validations without a new lowest loss; a resumed run shows those of its earlier parts again."""
        self._waited = 0 if validation_loss < self._lowest else self._waited + 1
        self._lowest = min(self._lowest, validation_loss)
        if self._waited >= self.PATIENCE:
            self._share *= self.FACTOR
            self._waited = 0

    def _fall(self, step: int) -> float:  # noqa: ARG002  the signature of the base
        return self._share


SCHEDULES: dict[str, type[Schedule]] = {"cosine": Schedule, "plateau": PlateauSchedule}
