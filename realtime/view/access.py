"""`Access`: who may talk to the view, as far as a request's headers say it. Knows nothing of sockets."""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from rt_seg.errors import InputError

from .address import Address, is_loopback

SHORTEST_TOKEN = 16
"""Characters of a token: shorter ones can be guessed."""

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::[0-9]{1,5})?")
_LOCAL_NAMES = frozenset({"localhost"})


@dataclass(frozen=True, slots=True)
class Access:
    """The rules. Thread-safe.

    Attributes:
        names: Host names by which this server may be called, lower case.
        local: Whether only this machine may call it.
        token: What a client must know; None: nothing.
        secure: Whether it is called through TLS.
        session: What the cookie holds after a client showed that it knows the token; another one each run.
        cookie: The cookie's name.
    """

    names: frozenset[str]
    local: bool
    token: str | None = field(repr=False)
    secure: bool
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    cookie: str = "rt-seg"

    @classmethod
    def to(cls, address: Address, token: str | None, *, secure: bool) -> "Access":
        """The rules for a server that listens there."""
        local = is_loopback(address.host)
        names = {address.host.lower()} | _LOCAL_NAMES
        if not local:
            names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        # a browser sends cookies to every port of a host: two views on one machine need two names
        prefix = "__Host-" if secure else ""
        return cls(frozenset(names), local, token, secure, cookie=f"{prefix}rt-seg-{address.port}")

    def knows_host(self, host: str) -> bool:
        """Whether a Host header may be this server's.

        A page of another site can make its own name point to this machine (DNS rebinding); it can't call itself by
        our names, nor by an IP address.
        """
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found["v6"] or found["name"]
        with suppress(ValueError):
            address = ipaddress.ip_address(name)
            return address.is_loopback or not self.local
        return name in self.names

    def same_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether no other site's page asks, as far as browsers say it; other programs say nothing."""
        origin = headers.get("origin")
        if origin is not None:
            parts = urlsplit(origin)
            return parts.scheme == ("https" if self.secure else "http") and parts.netloc == headers.get("host")
        return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}

    def admits(self, headers: Mapping[str, str], offered: str | None = None) -> bool:
        """Whether a request shows that its sender knows the token.

        Args:
            headers: Its headers, lower case.
            offered: A token that it gives elsewhere.
        """
        if self.token is None:
            return True
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = offered or (bearer.strip() if scheme.lower() == "bearer" else "")
        # both are compared, so that the time says nothing of which one was nearer
        by_token = _equal(given, self.token)
        by_cookie = _equal(self._cookie_of(headers), self.session)
        return by_token or by_cookie

    def _cookie_of(self, headers: Mapping[str, str]) -> str:
        with suppress(CookieError):
            found = SimpleCookie(headers.get("cookie", "")).get(self.cookie)
            return "" if found is None else found.value
        return ""

    @property
    def set_cookie(self) -> str:
        """The header that gives a client its cookie."""
        return f"{self.cookie}={self.session}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if self.secure else ''}"


def choose_token(address: Address, given: str | None, *, secure: bool, insecure: bool) -> str | None:
    """The token for a server that listens there: the one given, a new one, or none where only this machine may call.

    Raises:
        InputError: It is too short or not printable ASCII; or other machines may call, without TLS.
    """
    if given is not None and (len(given) < SHORTEST_TOKEN or not given.isascii() or not given.isprintable()):
        raise InputError(
            f"--token needs {SHORTEST_TOKEN} characters of printable ASCII or more; leave it out for one made"
        )
    if is_loopback(address.host):
        return given
    if not secure and not insecure:
        raise InputError(
            f"--serve {address.netloc} can be reached from other machines: give --tls-cert and --tls-key, "
            "or --insecure to send pictures and token unencrypted"
        )
    return given or secrets.token_urlsafe(32)


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
