"""Who may talk to the view: addresses, tokens, hosts and origins, as far as no socket is needed."""

from pathlib import Path

import pytest
import trustme
from typer.testing import CliRunner

from rt_seg.cli import app
from rt_seg.errors import InputError, OutputError
from rt_seg.realtime.command import with_address
from rt_seg.realtime.settings import StreamSettings
from rt_seg.realtime.view.access import Access, choose_token
from rt_seg.realtime.view.address import DEFAULT_ADDRESS, Address, open_listener, parse_address
from rt_seg.realtime.view.allowance import Allowance
from rt_seg.realtime.view.messages import MalformedError, Ping, Set, Shown, TakeSnapshot, read_message
from rt_seg.realtime.view.server import check_certificate

TOKEN = "correct horse battery staple"  # noqa: S105 - a test's own
LOCAL, OPEN = Address("127.0.0.1", 8420), Address("0.0.0.0", 8420)  # noqa: S104 - nothing is bound to it


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["demo", "--serve"], ["demo", "--serve", DEFAULT_ADDRESS]),
        (["--serve", "demo", "--live"], ["--serve", DEFAULT_ADDRESS, "demo", "--live"]),
        (["--serve", "127.0.0.1:0", "demo"], ["--serve", "127.0.0.1:0", "demo"]),
        (["demo", "--serve", "[::1]:80"], ["demo", "--serve", "[::1]:80"]),
        (["demo", "--serve", "127.0.0.1:http"], ["demo", "--serve", "127.0.0.1:http"]),  # refused as an address
        (["--serve", "rtsp://camera:554/a"], ["--serve", DEFAULT_ADDRESS, "rtsp://camera:554/a"]),
        (["demo", "--serve", "--token=a:b"], ["demo", "--serve", DEFAULT_ADDRESS, "--token=a:b"]),
        (["--serve", "12:30*.png"], ["--serve", DEFAULT_ADDRESS, "12:30*.png"]),
        (["demo", "--serve", "a:" + "b" * 5000], ["demo", "--serve", "a:" + "b" * 5000]),
        (["demo", "--serve=:1"], ["demo", "--serve=:1"]),
        (["--", "--serve"], ["--", "--serve"]),
    ],
)
def test_serve_may_go_without_an_address(given: list[str], expected: list[str]) -> None:
    """What follows is taken as the address only where it is meant as one, right or wrong."""
    assert with_address(given) == expected


def test_a_file_with_a_colon_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording named by its time is the source after a bare --serve."""
    monkeypatch.chdir(tmp_path)
    Path("12:30.mp4").touch()
    assert with_address(["--serve", "12:30.mp4"]) == ["--serve", DEFAULT_ADDRESS, "12:30.mp4"]


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:8420", "::1", 8420),
        (":9000", "127.0.0.1", 9000),
        ("h-1.lan:80", "h-1.lan", 80),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    """A host and a port; without host it is this machine alone."""
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["", "8420", "host", "host:", "host:70000", "a/b:1", "::1:80", "host:\uff18\uff10", "a b:1"]
)
def test_other_addresses_are_refused(text: str) -> None:
    """The message shows how to write one."""
    with pytest.raises(InputError, match="not HOST:PORT, such as 127"):
        StreamSettings("demo", serve=text).check()


@pytest.mark.parametrize(
    "option", [{"token": TOKEN}, {"insecure": True}, {"tls_cert": Path("a")}, {"tls_key": Path("a")}]
)
def test_options_of_the_view_need_it(option: dict[str, object]) -> None:
    """An option that would do nothing is refused."""
    with pytest.raises(InputError, match="add --serve"):
        StreamSettings("demo", **option).check()  # type: ignore[arg-type]  # one of its fields  # pyright: ignore[reportArgumentType]


def test_a_token_in_the_environment_harms_no_other_stream(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The variable may be set for all commands of a session; the option without a view is a mistake."""
    monkeypatch.setenv("RT_SEG_TOKEN", TOKEN)
    missing = ["stream", str(tmp_path / "missing.mp4"), "--no-show"]
    assert "missing.mp4" in CliRunner().invoke(app, missing).output
    assert "add --serve" in CliRunner().invoke(app, [*missing, "--token", f"{TOKEN}!"]).output


def test_a_port_in_use_is_said_in_one_line() -> None:
    """It names the port and what to do."""
    with open_listener(Address("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OutputError, match=f"port {port} is in use; give another"):
            open_listener(Address("127.0.0.1", port))
    open_listener(Address("127.0.0.1", port)).close()


@pytest.mark.parametrize(
    ("host", "message"),
    [("192.0.2.1", "not an address of this machine"), ("no-such-host.invalid", "no address is known")],
)
def test_an_address_that_is_not_ours_is_said_in_one_line(host: str, message: str) -> None:
    """One of another machine, or of none."""
    with pytest.raises(OutputError, match=message):
        open_listener(Address(host, 0))


def test_this_machine_alone_needs_no_token() -> None:
    """One that is given counts."""
    assert choose_token(LOCAL, None, secure=False, insecure=False) is None
    assert choose_token(LOCAL, TOKEN, secure=False, insecure=False) == TOKEN


def test_other_machines_need_a_token_and_tls() -> None:
    """A token is made where none is given, another one each time; without TLS somebody has to insist."""
    with pytest.raises(InputError, match=r"--tls-cert and --tls-key, or --insecure"):
        choose_token(OPEN, TOKEN, secure=False, insecure=False)
    made = {choose_token(OPEN, None, secure=True, insecure=False) for _ in range(2)}
    assert len(made) == 2
    assert all(token is not None and len(token) >= 40 for token in made)
    assert choose_token(OPEN, TOKEN, secure=False, insecure=True) == TOKEN


@pytest.mark.parametrize("token", ["", "short", "fifteen letters", "umlaut äöü äöü äöü äöü", "line\nbreak line break"])
def test_weak_tokens_are_refused(token: str) -> None:
    """Short ones, and what does not go into a header."""
    with pytest.raises(InputError, match="16 characters"):
        choose_token(LOCAL, token, secure=False, insecure=False)


def test_certificates_are_looked_at_before_anything_runs(tmp_path: Path) -> None:
    """Both files, that they can be read, and that they belong together."""
    authority = trustme.CA()
    certificate, key, other = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "other.pem"
    issued = authority.issue_cert("127.0.0.1")
    certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    other.write_bytes(authority.issue_cert("127.0.0.1").private_key_pem.bytes())
    assert check_certificate(None, None) is None
    assert check_certificate(certificate, key) == (certificate, key)
    for pair, message in (
        ((certificate, None), "give both"),
        ((None, key), "give both"),
        ((certificate, tmp_path / "none.pem"), "none.pem: cannot be read"),
        ((certificate, other), "not a PEM certificate with its key"),
        ((key, certificate), "not a PEM certificate with its key"),
    ):
        with pytest.raises(InputError, match=message):
            check_certificate(*pair)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8420", True),
        ("localhost:8420", True),
        ("LOCALHOST", True),
        ("[::1]:8420", True),
        ("evil.example:8420", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8420", False),
        ("192.168.0.5:8420", False),
        ("", False),
        ("localhost:8420; script-src *", False),
        ("localhost:port", False),
        ("a@localhost", False),
    ],
)
def test_only_own_names_are_answered(host: str, known: bool) -> None:
    """A name that another site made point here (DNS rebinding) is none of ours."""
    assert Access.to(LOCAL, None, secure=False).knows_host(host) is known


def test_a_server_for_others_goes_by_any_ip_address() -> None:
    """And by the names of this machine, but by no other name."""
    access = Access.to(OPEN, TOKEN, secure=True)
    assert access.knows_host("192.168.0.5:8420")
    assert not access.knows_host("evil.example:8420")


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({}, True),
        ({"origin": "http://localhost:8420"}, True),
        ({"origin": "https://localhost:8420"}, False),
        ({"origin": "http://localhost:8421"}, False),
        ({"origin": "http://evil"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
    ],
)
def test_other_sites_pages_are_known_by_their_headers(headers: dict[str, str], same: bool) -> None:
    """A page of another scheme, host or port is another site's."""
    access = Access.to(LOCAL, None, secure=False)
    assert access.same_origin({"host": "localhost:8420", **headers}) is same


def test_token_and_cookie_open_the_door() -> None:
    """The token as bearer or offered, or the cookie of this very run; nothing near it."""
    access = Access.to(OPEN, TOKEN, secure=True)
    cookie = access.set_cookie.partition(";")[0]
    assert {"HttpOnly", "SameSite=Strict", "Secure"} <= set(access.set_cookie.split("; "))
    assert TOKEN not in access.set_cookie
    assert access.admits({"authorization": f"Bearer {TOKEN}"})
    assert access.admits({}, TOKEN)
    assert access.admits({"cookie": f"other=1; {cookie}"})
    assert not access.admits({})
    assert not access.admits({"authorization": f"Basic {TOKEN}"})
    assert not access.admits({"authorization": f"Bearer {TOKEN}x"})
    assert not access.admits({"cookie": f"{cookie}x"})
    assert not access.admits({"cookie": cookie.replace(access.session, TOKEN)})
    assert not access.admits({"cookie": '"\\; ='})
    assert not access.admits({}, "ä\udcff")
    assert not Access.to(OPEN, TOKEN, secure=True).admits({"cookie": cookie}), "another run"
    assert TOKEN not in repr(access)
    assert access.session not in repr(access)


def test_messages_are_read() -> None:
    """The four that a page sends."""
    assert read_message('{"type": "shown", "index": 3}') == Shown(None)
    assert read_message('{"type": "shown", "index": 3, "delay_ms": 41.5}') == Shown(41.5)
    assert read_message('{"type": "ping", "sent": 12}') == Ping(12.0)
    assert read_message('{"type": "set", "alpha": 1}') == Set({"alpha": 1})
    assert read_message('{"type": "do", "action": "snapshot"}') == TakeSnapshot()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[]",
        "1",
        "{",
        "{}",
        '{"type": "set"}',
        '{"type": "do", "action": "rm"}',
        '{"type": "shown", "delay_ms": -1}',
        '{"type": "shown", "delay_ms": NaN}',
        '{"type": "shown", "delay_ms": true}',
        '{"type": "shown", "delay_ms": 1e300}',
        '{"type": "ping"}',
        '{"type": "ping", "sent": "1"}',
        '{"type": ["ping"], "sent": 1}',
        "[" * 4000,
        '{"type": "ping", "sent": ' + "9" * 4000 + "}",
        " " * 5000,
    ],
)
def test_other_messages_are_malformed(text: str | None) -> None:
    """Whatever it is, it is one error."""
    with pytest.raises(MalformedError):
        read_message(text)


def test_an_allowance_is_used_up_and_comes_back() -> None:
    """So many at once, then so many a second."""
    now = [100.0]
    allowance = Allowance(2, 3, lambda: now[0])
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
    now[0] += 0.5
    assert [allowance.take() for _ in range(2)] == [True, False]
    now[0] += 60
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
