"""`python -m hourglass.serve`: a page on this machine where one drops a picture and sees the pose.

The page itself is web/index.html. Needs the extra `serve` (Starlette and uvicorn).
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hourglass.console import command, quiet_stderr
from hourglass.core.boxes import require_overlap
from hourglass.core.pose import Box
from hourglass.core.skeleton import MPII
from hourglass.inference.estimator import PoseEstimator, default_model, whole
from hourglass.media.drawing import MIN_SCORE
from hourglass.media.pictures import NoPictureError, upright_picture
from hourglass.media.results import Found, to_json

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = Path(__file__).resolve().parent / "web" / "page" / "index.html"

LARGEST_UPLOAD = 25 * 2**20
"""Bytes of a picture that are taken: more than cameras write."""

TOO_LARGE, NO_PICTURE, UNUSABLE = 413, 415, 422
"""HTTP's answers to what cannot be looked at."""

UNNAMED = "picture"
LOOPBACK, PORT = "127.0.0.1", 8000


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


def make_app(estimator: PoseEstimator) -> Starlette:
    """The web application: `GET /`, `GET /skeleton`, and `POST /pose` of a picture's bytes.

    Args:
        estimator: The network, which requests run in turn.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    def refusal(status: int, told: str) -> Response:
        return JSONResponse({"error": told}, status_code=status)

    async def page(request: Request) -> Response:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    async def skeleton(request: Request) -> Response:
        colours = [list(colour) for colour in MPII.colours]
        return JSONResponse(
            {"joints": MPII.joints, "bones": MPII.bones, "colours": colours, "min_score": MIN_SCORE}
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

    routes = [
        Route("/", page),
        Route("/skeleton", skeleton),
        Route("/pose", pose, methods=["POST"]),
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


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(f"--host {host} --port {port}: cannot listen ({error})") from error


def _uvicorn() -> Any:
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise ValueError(
            f"the page needs the package {error.name}: pip install 'hourglass-pose[serve]'"
        ) from error
    return uvicorn


@click.command()
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file. [default: the newest models/*/best.keras, or the one that is shipped]",
)
@click.option("--flip-test", is_flag=True, help="Average in each crop's mirror image.")
@click.option(
    "--host",
    default=LOOPBACK,
    show_default=True,
    help="Address to listen on; others than this machine's own let anyone in.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True)
@command
def main(model: Path | None, flip_test: bool, host: str, port: int) -> None:
    """Shows a page where one drops a picture and sees its skeleton, until Ctrl-C."""
    uvicorn = _uvicorn()
    _require_free(host, port)
    model = model or default_model()
    with quiet_stderr():
        estimator = PoseEstimator.load(model, flip_test=flip_test)
    click.echo(f"http://{host}:{port} shows poses by {model}; Ctrl-C ends it")
    uvicorn.run(make_app(estimator), host=host, port=port, log_level="warning")


if __name__ == "__main__":
    main()
