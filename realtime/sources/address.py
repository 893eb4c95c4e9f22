"""What a message, a log or a file may show of an address, or of a path that may be a mistyped one: no secret."""

import re
from urllib.parse import urlsplit

from rt_seg.errors import SourceError

# Cameras take passwords in the path, too ("user=admin_password=..."), and services take keys, which are long.
_PLAIN = re.compile(r"[A-Za-z0-9._~-]{0,31}")  # a digest in hexadecimal has 32 characters
_RTMP = "rtmp"  # rtmp://host/application/key: who knows the key may send
_MISTYPED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_VALUES = re.compile(r"(?<=[=;?&#]).*", re.DOTALL)


def without_credentials(address: str) -> str:
    """An address for people: no user, password, query or fragment, and of the path what can hold no secret.

    Where an @ follows behind the host, a user or password holds what ends the host: then only the scheme is left.

    Raises:
        SourceError: It is no address.
    """
    try:
        parts = urlsplit(address)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:  # it says what the port was, which may be a password: not for a traceback
        raise SourceError(
            "the address has a malformed host or port; write it as scheme://host:port/path, "
            "and / ? # @ in a user or password as %2F %3F %23 %40"
        ) from None
    if "@" in parts.path + parts.query + parts.fragment:
        return f"{parts.scheme}://..."
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{_plain_part(parts.path, 1 if parts.scheme.startswith(_RTMP) else None)}"


def _plain_part(path: str, most: int | None) -> str:
    """A path up to the first part that may hold a secret, or to so many parts."""
    names = path.split("/")[1:]
    shown: list[str] = []
    for name in names[:most]:
        if _PLAIN.fullmatch(name) is None:
            break
        shown.append(name)
    rest = [] if len(shown) == len(names) else ["..."]
    return "".join(f"/{name}" for name in shown + rest)


def path_for_people(path: str) -> str:
    """A path that is not there, for a message: as it is, unless it looks like a mistyped address."""
    mistyped = _MISTYPED.search(path)
    if mistyped is not None:
        return f"{path[: mistyped.end()]}..."
    before, at, behind = path.rpartition("@")
    return _VALUES.sub("...", f"...@{behind}" if at else before + behind)
