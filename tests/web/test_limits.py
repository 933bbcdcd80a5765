"""Whom the server answers, and how many at once."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from hourglass.core.errors import InputError
from hourglass.web.limits import HostGuard, UploadGate, allowed_host, answers_for

pytest.importorskip("starlette")


@pytest.mark.parametrize(
    ("named", "bound"),
    [
        ("localhost:8000", "127.0.0.1"),
        ("LOCALHOST", "127.0.0.1"),
        ("localhost.:8000", "127.0.0.1"),
        ("127.0.0.1:8000", "127.0.0.1"),
        ("127.8.9.1", "::1"),
        ("[::1]:8000", "127.0.0.1"),
        ("box.lan:8000", "Box.lan"),
        ("10.1.2.3:80", "10.1.2.3"),
        ("10.1.2.3:80", "0.0.0.0"),
        ("[fe80::1]:80", "::"),
        ("0.0.0.0:8000", "0.0.0.0"),
        (f"{socket.gethostname()}:8000", "0.0.0.0"),
    ],
)
def test_its_own_names_are_answered(named: str, bound: str):
    assert answers_for(named, bound)


@pytest.mark.parametrize(
    ("named", "bound"),
    [
        ("evil.example", "127.0.0.1"),
        ("evil.example:8000", "0.0.0.0"),
        ("localhost.evil.example", "127.0.0.1"),
        ("evil.localhost.example", "::"),
        ("127.0.0.1.evil.example", "127.0.0.1"),
        ("10.1.2.3", "127.0.0.1"),
        ("[2001:db8::1]:80", "::1"),
        ("[evil", "::1"),
        ("", "127.0.0.1"),
        ("", "0.0.0.0"),
        ("ev\xedl", "0.0.0.0"),
    ],
)
def test_other_names_are_not(named: str, bound: str):
    assert not answers_for(named, bound)


def test_names_that_are_allowed_are_answered_too():
    allowed = [allowed_host(name) for name in ("Pose.example.org.", "other", "[2001:DB8::1]")]
    for named in ("pose.example.org", "POSE.example.org:8443", "other:80", "[2001:db8::1]:80"):
        assert answers_for(named, "127.0.0.1", allowed)
        assert not answers_for(named, "127.0.0.1")
    for named in ("x.pose.example.org", "example.org", "org", ""):
        assert not answers_for(named, "127.0.0.1", allowed)


@pytest.mark.parametrize("given", ["", ".", "a:80", "https://a", "a/b", "*.a", "a..b", "a b"])
def test_what_is_no_name_cannot_be_allowed(given: str):
    with pytest.raises(InputError, match=r"--allow-host .*: must be a name or an address alone"):
        allowed_host(given)


async def answering(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "inside"})


def sent(app: Any, scope: dict[str, Any]) -> list[dict[str, Any]]:
    """What an application sends for a request."""
    messages: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    asyncio.run(app({"method": "POST", **scope}, receive, send))
    return messages


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ([b"localhost"], {"type": "inside"}),
        ([b"evil.example"], {"status": 403}),
        ([b"localhost", b"evil.example"], {"status": 403}),
        ([], {"status": 403}),
    ],
)
def test_a_request_must_name_one_host_that_is_its_own(hosts: list[bytes], first: dict[str, Any]):
    headers = [(b"accept", b"*/*"), *((b"host", host) for host in hosts)]
    message, *_ = sent(HostGuard(answering, "127.0.0.1"), {"type": "http", "headers": headers})
    assert first.items() <= message.items()


def test_a_websocket_of_another_name_is_closed_before_it_opens():
    scope = {"type": "websocket", "headers": [(b"host", b"evil.example")]}
    (message,) = sent(HostGuard(answering, "127.0.0.1"), scope)
    assert (message["type"], message["code"]) == ("websocket.close", 1008)


def test_what_is_no_request_passes():
    assert sent(HostGuard(answering, "127.0.0.1"), {"type": "lifespan"}) == [{"type": "inside"}]
    assert sent(UploadGate(answering, 1), {"type": "lifespan"}) == [{"type": "inside"}]


def test_a_place_is_free_again_after_a_failure():
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise OSError("gone")

    gate = UploadGate(failing, 1)
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            sent(gate, {"type": "http", "headers": []})


def test_who_goes_away_in_the_midst_of_an_upload_is_no_fault():
    from starlette.requests import ClientDisconnect

    async def leaving(scope: Any, receive: Any, send: Any) -> None:
        raise ClientDisconnect

    gate = UploadGate(leaving, 1)
    for _ in range(3):
        assert sent(gate, {"type": "http", "headers": []}) == []
