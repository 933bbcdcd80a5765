"""The page that runs in the visitor's browser, as a folder of static files.

Its own files are in `browser/`; models, the detector and the runtime come beside them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.core.errors import InputError
from hourglass.core.files import folder_aside
from hourglass.inference.detection import LITERT_WEIGHTS
from hourglass.media.drawing import ID_COLOURS, MIN_SCORE
from hourglass.modelfiles.runtimes import read_litert_metadata
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

FASTEST, BETWEEN, MOST_ACCURATE = "fastest", "in between", "most accurate"

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
    with folder_aside(output) as temporary:
        folder = temporary / output.name
        shutil.copytree(PAGE, folder)
        version = copy_runtime(runtime, folder / "runtime")
        (folder / "models").mkdir()
        for model in models:
            shutil.copyfile(model, folder / "models" / model.name)
        shutil.copyfile(LITERT_WEIGHTS, folder / "detector.tflite")
        about = {
            "models": _entries(models),
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


def _entries(models: Sequence[Path]) -> list[dict[str, object]]:
    """What the page says of each model before it is loaded: name, px, MB and words on its use."""
    told = [read_litert_metadata(model) for model in models]
    sizes = [one.config.network.input_size for one in told]
    files = [model.stat().st_size for model in models]
    comparable = len({one.config.skeleton.joints for one in told}) == 1
    words = (
        describe_choice(list(zip(sizes, files, strict=True))) if comparable else [""] * len(told)
    )
    return [
        {
            "name": model.stem,
            "file": f"models/{model.name}",
            "size": size,
            "megabytes": round(file / 1e6, 1),
            "words": word,
        }
        for model, size, file, word in zip(models, sizes, files, words, strict=True)
    ]


def describe_choice(models: Sequence[tuple[int, int]]) -> list[str]:
    """Words by which visitors choose among models that find the same joints.

    Args:
        models: Input size, px, and bytes of each.

    Returns:
        A word for each; empty ones unless the larger input always has the larger file, so that
        what is faster and what is more accurate can be told without running them.
    """
    order = sorted(models)
    rising = all(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(order))
    if len(models) < 2 or not rising:
        return [""] * len(models)
    words = {order[0]: FASTEST, order[-1]: MOST_ACCURATE}
    return [words.get(model, BETWEEN) for model in models]


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
