"""The web application: a page where one drops a picture, or shows a camera, and sees the pose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hourglass.core.boxes import require_overlap
from hourglass.core.errors import InputError
from hourglass.core.pose import Box
from hourglass.inference.estimator import PoseEstimator, whole
from hourglass.media.drawing import ID_COLOURS, MIN_SCORE
from hourglass.media.pictures import NoPictureError, TooLargeError, upright_picture
from hourglass.media.results import Found, to_json
from hourglass.web.limits import UploadGate
from hourglass.web.live import Cameras

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

PAGE = Path(__file__).resolve().parent / "page" / "index.html"
SCRIPTS = ("skeleton.js", "space.js", "live.js")
"""Of the page, beside it."""

LARGEST_UPLOAD = 25 * 2**20
"""Bytes of a picture that are taken: more than cameras write."""

LARGEST_PICTURE = 51_000_000
"""Pixels of a picture that are decoded: as many as phones write unless they are asked for more."""

LOOKED_AT_ONCE = 2
"""Pictures that are decoded and run at a time: one is read while the network sees another."""

UPLOAD_SECONDS = 60
"""For which one upload may last: who sends more slowly would keep others out."""

NOT_HERE, UNUSABLE = 404, 422
"""HTTP's answers to what cannot be looked at."""


class TooSlowError(InputError):
    """An upload that did not end in time."""


REFUSALS = ((TooSlowError, 408), (TooLargeError, 413), (NoPictureError, 415))
"""Answers that say more than `UNUSABLE`."""

UNNAMED, JOINTS = "picture", "joints"
"""How what was sent is called in errors if it has no name."""


def find_pose(data: bytes, estimator: PoseEstimator, *, name: str, box: Box | None = None) -> Found:
    """What `predict` would find in the file with these bytes.

    Raises:
        NoPictureError: If they are no picture.
        TooLargeError: If it has more than `LARGEST_PICTURE` pixels; they are not decoded.
        ValueError: If the picture is damaged or of a size outside the limits, or the box is none.
    """
    if not data:
        raise InputError(f"{name}: picture is empty (0 bytes)")
    picture = upright_picture(data, where=name, most_pixels=LARGEST_PICTURE)
    height, width = picture.shape[:2]
    if box:
        require_overlap(box, width=width, height=height, where=name)
    return Found(name, width, height, estimator.poses([picture], [box or whole(picture)]))


def make_app(
    estimator: PoseEstimator,
    lift: Callable[[str], str] | None = None,
    *,
    in_browser: str | None = None,
) -> ASGIApp:
    """The web application: `GET /`, `GET /skeleton`, and `POST /pose` of a picture's bytes.

    Over the WebSocket `/live` come a camera's pictures (`web.live`). With `lift` also
    `POST /space`, of the text that `/pose` answered. A bounded number of uploads is held in memory,
    and of pictures decoded, at a time; more uploads are answered 503.

    Args:
        estimator: The network, which requests run in turn.
        lift: From JSON of people's joints to JSON of them in three dimensions; may refuse with a
            `ValueError`.
        in_browser: Path of the page that runs in the browser (`web.site`), if it is shown, too.
    """
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route, WebSocketRoute

    # Few threads of its own: each keeps some of the memory that its largest picture took.
    workers = ThreadPoolExecutor(LOOKED_AT_ONCE, "look")

    def look(data: bytes, name: str, box: Box | None) -> str:
        return to_json([find_pose(data, estimator, name=name, box=box)])

    async def run(work: Callable[..., str], *arguments: Any) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(workers, work, *arguments)
        return Response(text, media_type="application/json")

    def refusal(error: ValueError) -> Response:
        status = next((one for kind, one in REFUSALS if isinstance(error, kind)), UNUSABLE)
        return JSONResponse({"error": str(error)}, status_code=status)

    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    async def skeleton(request: Request) -> Response:
        colours = [list(colour) for colour in estimator.skeleton.colours]
        return JSONResponse(
            {
                "joints": estimator.skeleton.joints,
                "bones": estimator.skeleton.bones,
                "colours": colours,
                "id_colours": ID_COLOURS,
                "min_score": MIN_SCORE,
                "in_browser": in_browser,
            }
        )

    async def pose(request: Request) -> Response:
        name = request.query_params.get("name") or UNNAMED
        try:
            data = await _body(request, name)
            box = _box(request.query_params.get("box"))
            return await run(look, data, name, box)
        except ValueError as error:
            return refusal(error)

    async def script(request: Request) -> Response:
        path = PAGE.with_name(request.url.path.lstrip("/"))
        return Response(path.read_text(encoding="utf-8"), media_type="text/javascript")

    async def space(request: Request) -> Response:
        if lift is None:
            return JSONResponse({"error": "joints cannot be lifted"}, status_code=NOT_HERE)
        try:
            data = await _body(request, JOINTS)
            return await run(lift, data.decode("utf-8", "replace"))
        except ValueError as error:
            return refusal(error)

    routes = [
        Route("/", page),
        *(Route(f"/{name}", script) for name in SCRIPTS),
        Route("/space", space, methods=["POST"]),
        Route("/skeleton", skeleton),
        Route("/pose", pose, methods=["POST"]),
        WebSocketRoute("/live", Cameras(estimator).serve),
    ]
    return UploadGate(Starlette(routes=routes))


async def _body(request: Request, name: str) -> bytes:
    """The request's bytes.

    Raises:
        TooLargeError: As soon as they are too many, whatever the request's header says.
        TooSlowError: If they take too long.
    """
    try:
        return await asyncio.wait_for(_gathered(request, name), UPLOAD_SECONDS)
    except asyncio.TimeoutError as error:
        told = f"{name}: the upload took longer than {UPLOAD_SECONDS} s"
        raise TooSlowError(told) from error


async def _gathered(request: Request, name: str) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LARGEST_UPLOAD:
            raise TooLargeError(f"{name}: larger than {LARGEST_UPLOAD // 2**20} MB")
    return bytes(data)


def _box(text: str | None) -> Box | None:
    """The box in a query, `x,y,width,height`."""
    if not text:
        return None
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError as error:
        raise InputError(f"box {text!r} must be four numbers x,y,width,height") from error
    return x, y, width, height
