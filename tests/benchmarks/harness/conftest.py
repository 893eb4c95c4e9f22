"""The made-up part, in place of the real ones."""

from collections.abc import Iterator

import pytest

from rt_seg.benchmarks.harness import run
from rt_seg.benchmarks.harness.part import PARTS

from .made_up import Parts, add, made_up


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """The table of parts, with one that is made up in place of the real ones; nobody waits to see the machine idle."""
    monkeypatch.setattr(run, "look_before", tuple)
    real = dict(PARTS)
    PARTS.clear()
    yield {"first": add(monkeypatch, "first", made_up)}
    PARTS.clear()
    PARTS.update(real)  # in their order, which undone deletions would turn around
