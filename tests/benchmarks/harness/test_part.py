"""Rounds of a comparison."""

from rt_seg.benchmarks.harness.part import Rounds


def test_rounds_are_at_least_what_was_asked_for() -> None:
    """However short the time, each side has its turns; and the bar never goes beyond its end."""
    shares: list[float] = []

    class Bar:
        def update(self, done: float, doing: str) -> None:
            assert doing in ("left", "right")
            shares.append(done)

    rounds = Rounds(1e-9, 3, 2, Bar())
    numbers: list[int] = []
    for number in rounds:
        numbers.append(number)
        rounds.turn("left")
        rounds.turn("right")
    assert numbers == [0, 1, 2]
    assert all(0 <= share <= 1 for share in shares)
    assert list(rounds.spent) == ["preparation", "left", "right"]
