"""The learning rate over a run."""

import pytest

from rt_seg.train.schedule import PlateauSchedule, Schedule


def test_rate_rises_then_falls_to_a_hundredth() -> None:
    """Warm-up ends at the peak, half a cosine ends at a hundredth of it."""
    schedule = Schedule(1.0, total_steps=1000, warmup_steps=10)
    rates = [schedule.rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1, rel=1e-3)
    assert max(rates) == pytest.approx(1.0, rel=1e-3)
    assert rates.index(max(rates)) == 9
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, rel=1e-2)


def test_time_that_is_used_up_ends_the_run() -> None:
    """A resumed run counts the time of its earlier parts; when the budget is spent, no step is left."""
    schedule = Schedule(1.0, 1000, 0, budget_seconds=60, elapsed_seconds=45)
    assert 0.75 <= schedule.progress(0) < 1
    assert schedule.rate(0) < 0.2
    assert Schedule(1.0, 1000, 0, budget_seconds=60, elapsed_seconds=61).progress(0) == 1


def test_steps_decide_when_they_end_first() -> None:
    """Whichever of steps and time is nearer to its end counts."""
    assert Schedule(1.0, 100, 0, budget_seconds=1e9).progress(50) == 0.5


def test_plateau_lowers_the_rate_when_validation_stands_still() -> None:
    """Five validations without a lower loss divide the rate by ten; a lower loss starts the count anew."""
    schedule = PlateauSchedule(1.0, 1000, 0)
    for loss in (1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.8, *[0.9] * 4):
        schedule.observe(loss)
    assert schedule.rate(500) == 1.0
    schedule.observe(0.85)
    assert schedule.rate(500) == pytest.approx(0.1)
