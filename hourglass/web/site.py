"""The page that runs in the visitor's browser, as a folder of static files.

Its own files are in `browser/`; models, the detector and the runtime come beside them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.core.errors import InputError
from hourglass.inference.detection import LITERT_WEIGHTS
from hourglass.media.drawing import ID_COLOURS, MIN_SCORE
from hourglass.web.litert_js import copy_runtime

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = Path(__file__).resolve().parent / "browser"

MANIFEST = "site.json"
"""What the page reads first; by it a folder is known to be such a page's."""

ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
"""With these headers browsers let a page use threads."""


PLACE = "/browser"
"""Where a server shows the page."""


def write_site(output: Path, models: Sequence[Path], *, runtime: Path, force: bool = False) -> None:
    """Writes the folder; it appears under its name only when it is whole.

    Args:
        output: The folder.
        models: LiteRT files that give heatmaps; the page begins with the first.
        runtime: What `litert_js.find_runtime` gave.
        force: Replace `output` if it is such a page's.

    Raises:
        InputError: If `output` is there without `force`, or is something else, or cannot be
            written.
    """
    require_free(output, force=force)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as temporary:
        folder = Path(temporary) / output.name
        shutil.copytree(PAGE, folder)
        version = copy_runtime(runtime, folder / "runtime")
        (folder / "models").mkdir()
        for model in models:
            shutil.copyfile(model, folder / "models" / model.name)
        shutil.copyfile(LITERT_WEIGHTS, folder / "detector.tflite")
        about = {
            "models": [_entry(model) for model in models],
            "detector": "detector.tflite",
            "runtime": "runtime/",
            "runtime_version": version,
            "min_score": MIN_SCORE,
            "id_colours": ID_COLOURS,
        }
        (folder / MANIFEST).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        headers = "".join(f"  {name}: {value}\n" for name, value in ISOLATION.items())
        (folder / "_headers").write_text(f"/*\n{headers}", encoding="utf-8")
        if output.is_dir():
            shutil.rmtree(output)
        folder.replace(output)


def _entry(model: Path) -> dict[str, object]:
    megabytes = round(model.stat().st_size / 1e6, 1)
    return {"name": model.stem, "file": f"models/{model.name}", "megabytes": megabytes}


def require_free(output: Path, *, force: bool) -> None:
    """Checks that a page may be written.

    Raises:
        InputError: As `write_site`.
    """
    if not output.parent.is_dir():
        raise InputError(f"--output {output}: {output.parent} is no folder")
    if not output.exists():
        return
    if not (output / MANIFEST).is_file() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(f"--output {output}: exists and is no such page's folder; name another")
    if (output / MANIFEST).is_file() and not force:
        raise InputError(f"--output {output}: exists; replace it with --force, or name another")


def with_site(app: ASGIApp, folder: Path) -> ASGIApp:
    """A web application that also shows such a folder, below `PLACE`, with the headers for threads.

    Args:
        app: Answers everything else.
        folder: What `write_site` wrote.
    """
    from starlette.applications import Starlette
    from starlette.responses import RedirectResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    files = StaticFiles(directory=folder, html=True)

    async def isolated(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [
                    (name.lower().encode(), value.encode()) for name, value in ISOLATION.items()
                ]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await files(scope, receive, send_with_headers)

    async def redirect(request: Request) -> Response:
        return RedirectResponse(f"{PLACE}/")

    return Starlette(routes=[Route(PLACE, redirect), Mount(PLACE, isolated), Mount("/", app)])
