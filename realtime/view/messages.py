"""What clients may say, read strictly."""

import json
from dataclasses import dataclass
from typing import NoReturn, cast

LONGEST_MESSAGE = 4096
"""Bytes of a client's message."""

_LONGEST_DELAY_MS = 60_000.0


class MalformedError(ValueError):
    """A message that no page of ours sends."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture is on the client's screen.

    Attributes:
        delay_ms: How old it was then, where the client knows.
    """

    delay_ms: float | None


@dataclass(frozen=True, slots=True)
class Ping:
    """The client compares its clock; what it sent comes back."""

    sent: float


@dataclass(frozen=True, slots=True)
class Set:
    """The client wants controls changed; the values are not checked yet."""

    wanted: dict[str, object]


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """The client wants the picture kept."""


Message = Shown | Ping | Set | TakeSnapshot


def read_message(text: str | None) -> Message:
    """Read a client's message.

    Raises:
        MalformedError: With what is wrong with it.
    """
    if text is None:
        raise MalformedError("messages are JSON text")
    if len(text) > LONGEST_MESSAGE:
        raise MalformedError(f"messages have {LONGEST_MESSAGE} bytes at most")
    try:
        value: object = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise MalformedError("messages are JSON text") from exc
    if not isinstance(value, dict):
        raise MalformedError("messages are JSON objects")
    return _read(cast("dict[str, object]", value))


def _read(message: dict[str, object]) -> Message:
    kind = message.pop("type", None)
    if kind == "shown":
        delay = message.get("delay_ms")
        return Shown(None if delay is None else _number(delay, _LONGEST_DELAY_MS))
    if kind == "ping":
        return Ping(_number(message.get("sent"), 1e15))
    if kind == "set" and message:
        return Set(message)
    if kind == "do" and message.get("action") == "snapshot":
        return TakeSnapshot()
    raise MalformedError("a message is shown, ping, set or do")


def _number(value: object, most: float) -> float:
    # a boolean is an int to Python; what is no number fails every comparison
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise MalformedError(f"a number from 0 to {most:g} was expected")
    return float(value)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
