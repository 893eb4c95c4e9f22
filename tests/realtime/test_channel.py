"""Channels: nothing lost or reordered with EVERY, only the newest with LATEST, and nobody left waiting."""

import threading
from collections.abc import Callable
from functools import partial
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rt_seg.realtime.channel import Channel, ChannelClosed, Policy


def in_thread(function: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Start a function on a thread; the list receives its result or the exception it ended by."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as exc:  # noqa: BLE001 - handed to the test
            outcome.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


@given(items=st.lists(st.integers(), max_size=200), capacity=st.integers(1, 5))
def test_every_delivers_all_items_in_order(items: list[int], capacity: int) -> None:
    """With EVERY a consumer on another thread gets each item once, in order, whatever the capacity."""
    channel: Channel[int] = Channel(capacity)
    thread, outcome = in_thread(lambda: list(channel))
    for item in items:
        channel.put(item)
    channel.close()
    thread.join(10)
    assert outcome == [items]
    assert channel.dropped == 0


class ChannelModel(RuleBasedStateMachine):
    """A LATEST channel against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.channel: Channel[int] = Channel(3, Policy.LATEST)
        self.waiting: list[int] = []
        self.lost = 0

    @rule(item=st.integers())
    def put(self, item: int) -> None:
        """A full channel loses its oldest item."""
        self.channel.put(item)
        self.waiting.append(item)
        if len(self.waiting) > 3:
            self.waiting.pop(0)
            self.lost += 1

    @rule()
    def get(self) -> None:
        """The oldest waiting item comes first; without one the wait times out."""
        if self.waiting:
            assert self.channel.get(timeout=0) == self.waiting.pop(0)
        else:
            with pytest.raises(TimeoutError):
                self.channel.get(timeout=0)

    @invariant()
    def counts_every_drop(self) -> None:
        """What was lost is counted, nothing else."""
        assert self.channel.dropped == self.lost


# with LATEST any sequence of puts and gets matches a list that loses its oldest item when full
TestLatest = ChannelModel.TestCase


def test_close_lets_waiting_items_out_then_ends() -> None:
    """After close the items already in are delivered before the end."""
    channel: Channel[str] = Channel(2)
    channel.put("a")
    channel.close()
    assert channel.get() == "a"
    with pytest.raises(ChannelClosed):
        channel.get()


def test_close_with_an_error_raises_it_after_the_last_item() -> None:
    """An error given to close reaches the consumer behind the items that came before it."""
    channel: Channel[str] = Channel(2)
    channel.put("a")
    channel.close(OSError("broken"))
    received: list[str] = []
    with pytest.raises(OSError, match="broken"):
        received.extend(channel)
    assert channel.dropped == 0


def test_put_after_close_is_refused() -> None:
    """A closed channel takes nothing more."""
    channel: Channel[str] = Channel(1)
    channel.close()
    with pytest.raises(ChannelClosed):
        channel.put("late")


def test_cancel_frees_a_waiting_producer() -> None:
    """A producer in front of a full channel is let go when the consumer leaves."""
    channel: Channel[int] = Channel(1)
    channel.put(1)
    thread, outcome = in_thread(lambda: channel.put(2))
    channel.cancel()
    thread.join(10)
    assert isinstance(outcome[0], ChannelClosed)


def test_close_frees_every_waiting_consumer() -> None:
    """All consumers in front of an empty channel are let go when the producer ends."""
    channel: Channel[int] = Channel(1)
    waiters = [in_thread(channel.get) for _ in range(3)]
    channel.close()
    for thread, outcome in waiters:
        thread.join(10)
        assert isinstance(outcome[0], ChannelClosed)


def test_several_producers_and_consumers_lose_nothing() -> None:
    """With several threads on both ends each item still arrives exactly once."""
    channel: Channel[int] = Channel(2)

    def produce(base: int) -> None:
        for item in range(base, base + 100):
            channel.put(item)

    producers = [in_thread(partial(produce, base)) for base in (0, 1000, 2000)]
    consumers = [in_thread(lambda: list(channel)) for _ in range(3)]
    for thread, _ in producers:
        thread.join(10)
    channel.close()
    received: list[int] = []
    for thread, outcome in consumers:
        thread.join(10)
        received.extend(cast("list[int]", outcome[0]))
    assert sorted(received) == [base + i for base in (0, 1000, 2000) for i in range(100)]


def test_a_channel_without_room_is_refused() -> None:
    """Capacity 0 would block for ever and is refused."""
    with pytest.raises(ValueError, match="at least one"):
        Channel[int](0)


def test_mean_occupancy_tells_who_waits() -> None:
    """A channel that is never emptied shows high occupancy, one that is always emptied shows none."""
    full: Channel[int] = Channel(2, Policy.LATEST)
    empty: Channel[int] = Channel(2, Policy.LATEST)
    for item in range(100):
        full.put(item)
        empty.put(item)
        empty.get()
    assert full.mean_occupancy > 1.9
    assert empty.mean_occupancy == 0
