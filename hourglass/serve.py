"""`python -m hourglass.serve`: a page on this machine where one drops a picture, or shows a camera.

The page itself is web/page/index.html. Needs the extra `serve` (Starlette, uvicorn, websockets).
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import click

from hourglass.console import PATH, command, flip_test_option, models_option, quiet_stderr
from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.storage import Place
from hourglass.exporting.browser import browser_models, default_models
from hourglass.inference.estimator import PoseEstimator, default_predictor
from hourglass.lifting.estimator import Lifter
from hourglass.lifting.passes import lift_text
from hourglass.web.limits import HostGuard, allowed_host
from hourglass.web.litert_js import find_runtime
from hourglass.web.live import SOCKETS
from hourglass.web.server import make_app
from hourglass.web.site import PLACE, with_site, write_site

LOOPBACK, PORT = "127.0.0.1", 8000


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":  # on Windows it would bind what another listens to
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(f"--host {host} --port {port}: cannot listen ({error})") from error


def _uvicorn() -> Any:
    try:
        import starlette  # noqa: F401
        import uvicorn
        import websockets  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the page needs the package {error.name}: pip install starlette uvicorn websockets"
        ) from error
    return uvicorn


def _write_site(models: list[Path], folder: Path, runtime: Path | None) -> Path:
    """The page that runs in the browser, in a folder below `folder`."""
    npm_folder, site = find_runtime(runtime), folder / "site"
    with quiet_stderr():
        files = browser_models(models or default_models(), folder)
        write_site(site, files, runtime=npm_folder)
    return site


@click.command()
@models_option
@flip_test_option
@click.option(
    "--host",
    default=LOOPBACK,
    show_default=True,
    help="Address to listen on; others than this machine's own let anyone in.",
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="Another name that browsers call this server by, such as a proxy's; may be given several "
    "times. Requests that name it otherwise are refused (403).",
)
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True)
@click.option(
    "--browser",
    is_flag=True,
    help=f"Also show, at {PLACE}/, the page that runs the model in the visitor's browser.",
)
@click.option(
    "--runtime", type=PATH, help="--browser: npm folder with LiteRT.js. [default: fetched by npm]"
)
@command
def main(
    models: tuple[Place, ...],
    flip_test: bool,
    host: str,
    allowed: tuple[str, ...],
    port: int,
    browser: bool,
    runtime: Path | None,
) -> None:
    """Shows a page that draws skeletons on pictures and a camera's film, until Ctrl-C.

    The page whose pictures come to the server uses the first --model; that of --browser offers all.
    """
    if len(models) > 1 and not browser:
        raise InputError(f"several --model are for --browser only, got {len(models)} without it")
    uvicorn = _uvicorn()
    names = [allowed_host(name) for name in allowed]
    _require_free(host, port)
    path = models[0] if models else default_predictor()
    with quiet_stderr():
        estimator = PoseEstimator.load(path, flip_test=flip_test)
    lifter = Lifter.load()
    address = f"[{host}]" if ":" in host else host
    with tempfile.TemporaryDirectory() as folder:
        page = f"{PLACE}/" if browser else None
        app = make_app(estimator, lambda text: lift_text(text, lifter), in_browser=page)
        if browser:
            own = [local_copy(model) for model in models]
            app = with_site(app, _write_site(own, Path(folder), runtime))
        click.echo(f"http://{address}:{port} shows poses by {path}; Ctrl-C ends it")
        if browser:
            click.echo(f"http://{address}:{port}{PLACE}/ runs the model in the visitor's browser")
        guarded = HostGuard(app, host, names)
        uvicorn.run(guarded, host=host, port=port, log_level="warning", **SOCKETS)


if __name__ == "__main__":
    main()
