"""Where the view listens, and the socket for it."""

import errno
import ipaddress
import os
import re
import socket
from contextlib import suppress
from dataclasses import dataclass

from rt_seg.errors import InputError, OutputError

DEFAULT_ADDRESS = "127.0.0.1:8420"
"""Where the view is served unless asked for elsewhere: to this machine alone."""

_PATTERN = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>[0-9]{1,5})")
_SEND_BUFFER = 256 * 1024  # bytes in the kernel for each client: more would only be older pictures
_STUCK_MS = 30_000  # a client that takes nothing for so long is cut off by the kernel
_BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port.

    Attributes:
        host: A name or an IP address, without brackets.
        port: 0 takes a free one.
    """

    host: str
    port: int

    @property
    def netloc(self) -> str:
        """As it stands in a link."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_address(text: str) -> bool:
    """Whether it is meant as HOST:PORT: as one reads it, or with a colon and nothing of a path, an option or a link."""
    if _PATTERN.fullmatch(text) is not None:
        return True
    return ":" in text and not text.startswith("-") and not set(text) & set("/\\*?") and not os.path.lexists(text)


def parse_address(text: str) -> Address:
    """Read ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT`` (this machine alone).

    Raises:
        InputError: It is something else.
    """
    found = _PATTERN.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise InputError(f"--serve {text!r} is not HOST:PORT, such as {DEFAULT_ADDRESS}")
    return Address(found["v6"] or found["host"] or "127.0.0.1", int(found["port"]))


def is_loopback(host: str) -> bool:
    """Whether an IP address, or all addresses of a name, are of this machine alone."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    with suppress(OSError):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return bool(found) and all(ipaddress.ip_address(str(each[4][0])).is_loopback for each in found)
    return False


def open_listener(address: Address) -> socket.socket:
    """A socket that listens there; clients wait until somebody accepts them.

    Raises:
        OutputError: The port is taken, the address is not this machine's, or the user may not use it.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        raise OutputError(
            f"--serve {address.netloc}: no address is known for {address.host!r}; "
            f"give one of this machine's, such as {DEFAULT_ADDRESS}"
        ) from exc
    listener = socket.socket(family, kind, protocol)
    try:
        _prepare(listener)
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise OutputError(f"--serve {address.netloc}: {_why(address, exc)}") from exc
    return listener


def _prepare(listener: socket.socket) -> None:
    """Options that the sockets of clients inherit."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just left can be taken again
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        with suppress(OSError):  # not every kernel has it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_MS)
    listener.setblocking(False)


def _why(address: Address, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"port {address.port} is in use; give another one, or 0 for any that is free"
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"{address.host} is not an address of this machine; give one that is, or {DEFAULT_ADDRESS}"
    if exc.errno == errno.EACCES:
        return f"port {address.port} needs rights that this user lacks; give one from 1024 on"
    return f"cannot be listened at ({exc.strerror or exc}); give another address"
