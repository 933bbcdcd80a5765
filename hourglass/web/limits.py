"""What the server lets in: requests that name it, and a bounded number of uploads at once.

Both are ASGI applications around another one, so that they hold for every route, whatever it does.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from hourglass.core.errors import InputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

UPLOADS_AT_ONCE = 16
"""Requests with a body that are taken in at once; each holds its bytes in memory."""

RETRY_AFTER = 1
"""Seconds after which one that was not taken in may ask again."""

WRONG_HOST, BUSY = 403, 503

NOT_ALLOWED = 1008
"""What a WebSocket is closed with."""

LOCALHOST = "localhost"

_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
"""A host's, as browsers send it."""


class HostGuard:
    """Answers only requests that name this server by an address of its own.

    A page of another site can have that site's name point to this machine (DNS rebinding), and
    browsers then let it read the answers. What it cannot choose is the `Host` that they send.

    Args:
        app: What is guarded.
        bound: The address or name that the server listens to. It is answered for, as are localhost
            and loopback addresses; where it stands for all of the machine's addresses (0.0.0.0,
            ::), so are the machine's name and any address.
        allowed: More names that are answered for, as `allowed_host` gives them.
    """

    def __init__(self, app: ASGIApp, bound: str, allowed: Iterable[str] = ()) -> None:
        self._app, self._bound, self._allowed = app, bound, frozenset(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            named = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
            if not answers_for(named, self._bound, self._allowed):
                await _refuse(scope, receive, send, WRONG_HOST, _told(named))
                return
        await self._app(scope, receive, send)


def allowed_host(given: str) -> str:
    """A name, or an address, that a server is to answer for, as it is compared with.

    Raises:
        InputError: If it is more or less than that.
    """
    name = given.strip("[]").lower().removesuffix(".")
    if not (_is_address(name) or _NAME.fullmatch(name)):
        raise InputError(
            f"--allow-host {given}: must be a name or an address alone, without scheme, port and "
            "path, such as pose.example.org"
        )
    return name


def _told(named: str) -> str:
    """Why a `Host` is refused and, where it is one, how it would not be."""
    told = f"this server does not answer for host {named!r}"
    host = _without_port(named).lower()
    if _is_address(host) or _NAME.fullmatch(host):
        told += f"; if that is its own name, start it with --allow-host {host}"
    return told


def answers_for(named: str, bound: str, allowed: Iterable[str] = ()) -> bool:
    """Whether a request's `Host`, such as `localhost:8000` or `[::1]:8000`, is a server's own.

    Args:
        named: The header's value.
        bound: As `HostGuard`'s.
        allowed: Likewise.
    """
    host, everywhere = _without_port(named).lower(), _is_unspecified(bound)
    if host in (LOCALHOST, bound.lower(), *allowed):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return everywhere and bool(host) and host == socket.gethostname().lower()
    return address.is_loopback or everywhere


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host  # and what follows it, in which anything may stand


def _is_unspecified(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _without_port(named: str) -> str:
    if named.startswith("["):
        return named[1:].partition("]")[0]
    return named.partition(":")[0].removesuffix(".")


class UploadGate:
    """Takes in a bounded number of requests with a body; more are told to come again.

    Args:
        app: What is guarded.
        at_once: How many are taken in.
    """

    def __init__(self, app: ASGIApp, at_once: int = UPLOADS_AT_ONCE) -> None:
        self._app = app
        self._places = threading.BoundedSemaphore(at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        from starlette.requests import ClientDisconnect

        if not self._places.acquire(blocking=False):
            told = "too many pictures are being looked at: ask again in a moment"
            await _refuse(scope, receive, send, BUSY, told, {"Retry-After": str(RETRY_AFTER)})
            return
        try:
            with contextlib.suppress(ClientDisconnect):  # nobody is left to be answered
                await self._app(scope, receive, send)
        finally:
            self._places.release()


async def _refuse(
    scope: Scope,
    receive: Receive,
    send: Send,
    status: int,
    told: str,
    headers: dict[str, str] | None = None,
) -> None:
    from starlette.responses import JSONResponse

    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": NOT_ALLOWED, "reason": told})
        return
    await JSONResponse({"error": told}, status_code=status, headers=headers)(scope, receive, send)
