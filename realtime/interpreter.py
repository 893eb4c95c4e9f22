"""What Python itself does between two pictures: who holds its lock, and when it looks for garbage."""

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager

_SWITCH_SECONDS = 0.0005  # how long a thread may keep Python's lock while another one waits to show a picture


@contextmanager
def quick_switches(wanted: bool) -> Generator[None]:
    """Have Python pass its lock on quickly: by default a thread that computes keeps it for 5 ms."""
    before = sys.getswitchinterval()
    if wanted:
        sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def short_collections(wanted: bool) -> Generator[None]:
    """Keep what is there already out of the garbage collector's rounds.

    With engine and libraries loaded, a full round looks at tens of thousands of objects and holds Python's lock for
    some 15 ms: as long as half a frame. What the stream itself makes is collected as ever. Where the calling program
    has frozen objects of its own, nothing is changed.
    """
    freeze = wanted and gc.get_freeze_count() == 0
    if freeze:
        gc.collect()
        gc.freeze()
    try:
        yield
    finally:
        if freeze:
            gc.unfreeze()
