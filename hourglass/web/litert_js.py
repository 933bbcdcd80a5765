"""The runtime that runs LiteRT files in the browser: LiteRT.js, fetched once by npm.

Its WebAssembly is 28 MB, too much to come with this package; npm checks what it fetches.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from hourglass.core.errors import InputError
from hourglass.core.files import folder_aside

PACKAGE, HELPER = "@litertjs/core", "@litertjs/wasm-utils"

VERSION = "2.5.3"
"""Of the runtime that the page was tried with."""

FLAVOURS = ("internal", "compat_internal", "threaded_internal")
"""Its WebAssembly for one thread, for browsers without relaxed SIMD, and for threads."""

ENTRY = "index.js"

IMPORT = f'from "{HELPER}"'
"""How the runtime names its helper: browsers cannot find it by that in a worker."""

LONGEST_FETCH = 300
"""Seconds that npm may take."""


def cache_folder() -> Path:
    """Where the runtime is kept between calls, as the XDG base directories say."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "hourglass" / f"litertjs-{VERSION}"


def find_runtime(folder: Path | None = None) -> Path:
    """The folder with the runtime's npm packages; fetched into the cache if it is not there.

    Args:
        folder: Where `npm install @litertjs/core` was run; None for the cache.

    Raises:
        InputError: If the runtime is not in `folder`, or npm is missing or fails.
    """
    if folder is not None:
        _require_whole(folder)
        return folder
    cache = cache_folder()
    if not is_whole(cache):
        cache.parent.mkdir(parents=True, exist_ok=True)
        with folder_aside(cache) as temporary:
            fetched = temporary / cache.name
            _fetch(fetched)
            _require_whole(fetched)
            _put(fetched, cache)
    return cache


def _put(fetched: Path, cache: Path) -> None:
    """Gives what was fetched its place, unless another process was sooner."""
    if cache.exists() and not is_whole(cache):
        shutil.rmtree(cache, ignore_errors=True)
    try:
        fetched.rename(cache)
    except OSError:
        if not is_whole(cache):
            raise


def is_whole(folder: Path) -> bool:
    """Whether all files of the runtime that are copied are in an npm folder."""
    return all(source.is_file() for source in _sources(folder).values())


def _require_whole(folder: Path) -> None:
    missing = [source for source in _sources(folder).values() if not source.is_file()]
    if missing:
        raise InputError(
            f"--runtime {folder}: {missing[0]} is missing; allowed is a folder in which "
            f"`npm install {PACKAGE}@{VERSION}` was run"
        )


def _fetch(cache: Path) -> None:
    npm = shutil.which("npm")
    told = (
        f"the page needs {PACKAGE} {VERSION}, about 12 MB, and fetches it by npm once; or run `npm "
        f"install {PACKAGE}@{VERSION}` in a folder on another machine and name that by --runtime"
    )
    if npm is None:
        raise InputError(f"npm is not installed: {told}")
    cache.mkdir()
    words = ["install", "--prefix", str(cache), "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(
            [npm, *words, f"{PACKAGE}@{VERSION}", f"{HELPER}@{VERSION}"],
            capture_output=True,
            text=True,
            timeout=LONGEST_FETCH,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"npm did not end within {LONGEST_FETCH} s: {told}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise InputError(f"npm failed ({lines[0] if lines else done.returncode}): {told}")


def _sources(folder: Path) -> dict[str, Path]:
    """The files that the page needs, by their names in its folder."""
    core, helper = (folder / "node_modules" / name for name in (PACKAGE, HELPER))
    wasm = [f"litert_wasm_{flavour}.{ending}" for flavour in FLAVOURS for ending in ("js", "wasm")]
    return {
        ENTRY: core / "dist" / "index.js",
        "wasm-utils.js": helper / "dist" / "index.js",
        **{f"wasm/{name}": core / "wasm" / name for name in wasm},
    }


def copy_runtime(folder: Path, output: Path) -> str:
    """Copies the runtime for a page.

    Args:
        folder: What `find_runtime` gave.
        output: A folder to make.

    Returns:
        Its version.

    Raises:
        InputError: If it is built otherwise than this project knows.
    """
    (output / "wasm").mkdir(parents=True)
    for name, source in _sources(folder).items():
        shutil.copyfile(source, output / name)
    entry = output / ENTRY
    text = entry.read_text(encoding="utf-8")
    if text.count(IMPORT) != 1:
        raise InputError(f"{folder}: {PACKAGE} is not built as that of version {VERSION} is")
    entry.write_text(text.replace(IMPORT, 'from "./wasm-utils.js"'), encoding="utf-8")
    about = folder / "node_modules" / PACKAGE / "package.json"
    return str(json.loads(about.read_text(encoding="utf-8"))["version"])
