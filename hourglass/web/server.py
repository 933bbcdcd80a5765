"""The web application: a page where one drops a picture, or shows a camera, and sees the pose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.core.boxes import require_overlap
from hourglass.core.pose import Box
from hourglass.inference.estimator import PoseEstimator, whole
from hourglass.media.drawing import ID_COLOURS, MIN_SCORE
from hourglass.media.pictures import NoPictureError, upright_picture
from hourglass.media.results import Found, to_json
from hourglass.web.live import Cameras

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = Path(__file__).resolve().parent / "page" / "index.html"
SCRIPTS = ("skeleton.js", "space.js", "live.js")
"""Of the page, beside it."""

LARGEST_UPLOAD = 25 * 2**20
"""Bytes of a picture that are taken: more than cameras write."""

NOT_HERE, TOO_LARGE, NO_PICTURE, UNUSABLE = 404, 413, 415, 422
"""HTTP's answers to what cannot be looked at."""

UNNAMED = "picture"


def find_pose(data: bytes, estimator: PoseEstimator, *, name: str, box: Box | None = None) -> Found:
    """What `predict` would find in the file with these bytes.

    Raises:
        NoPictureError: If they are no picture.
        ValueError: If the picture is damaged or of a size outside the limits, or the box is none.
    """
    if not data:
        raise ValueError(f"{name}: picture is empty (0 bytes)")
    picture = upright_picture(data, where=name)
    height, width = picture.shape[:2]
    if box:
        require_overlap(box, width=width, height=height, where=name)
    return Found(name, width, height, estimator.poses([picture], [box or whole(picture)]))


def make_app(estimator: PoseEstimator, lift: Callable[[str], str] | None = None) -> Starlette:
    """The web application: `GET /`, `GET /skeleton`, and `POST /pose` of a picture's bytes.

    Over the WebSocket `/live` come a camera's pictures (`web.live`). With `lift` also
    `POST /space`, of the text that `/pose` answered.

    Args:
        estimator: The network, which requests run in turn.
        lift: From JSON of people's joints to JSON of them in three dimensions; may refuse with a
            `ValueError`.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route, WebSocketRoute

    def refusal(status: int, told: str) -> Response:
        return JSONResponse({"error": told}, status_code=status)

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
            }
        )

    async def pose(request: Request) -> Response:
        name = request.query_params.get("name") or UNNAMED
        data = await _body(request)
        if data is None:
            return refusal(TOO_LARGE, f"{name}: larger than {LARGEST_UPLOAD // 2**20} MB")
        try:
            box = _box(request.query_params.get("box"))
            found = await run_in_threadpool(find_pose, data, estimator, name=name, box=box)
        except NoPictureError as error:
            return refusal(NO_PICTURE, str(error))
        except ValueError as error:
            return refusal(UNUSABLE, str(error))
        return Response(to_json([found]), media_type="application/json")

    async def script(request: Request) -> Response:
        path = PAGE.with_name(request.url.path.lstrip("/"))
        return Response(path.read_text(encoding="utf-8"), media_type="text/javascript")

    async def space(request: Request) -> Response:
        data = await _body(request)
        if lift is None or data is None:
            return refusal(NOT_HERE if lift is None else TOO_LARGE, "joints cannot be lifted")
        try:
            text = await run_in_threadpool(lift, data.decode("utf-8", "replace"))
        except ValueError as error:
            return refusal(UNUSABLE, str(error))
        return Response(text, media_type="application/json")

    routes = [
        Route("/", page),
        *(Route(f"/{name}", script) for name in SCRIPTS),
        Route("/space", space, methods=["POST"]),
        Route("/skeleton", skeleton),
        Route("/pose", pose, methods=["POST"]),
        WebSocketRoute("/live", Cameras(estimator).serve),
    ]
    return Starlette(routes=routes)


async def _body(request: Request) -> bytes | None:
    """The request's bytes, or None as soon as they are too many, whatever its header says."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > LARGEST_UPLOAD:
            return None
    return bytes(data)


def _box(text: str | None) -> Box | None:
    """The box in a query, `x,y,width,height`."""
    if not text:
        return None
    try:
        x, y, width, height = map(float, text.split(","))
    except ValueError as error:
        raise ValueError(f"box {text!r} must be four numbers x,y,width,height") from error
    return x, y, width, height
