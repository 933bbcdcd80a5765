"""MATLAB files, read in a process of their own: damaged ones crash SciPy's reader with Python.

What MATLAB compressed, as MPII's file is, has checksums: most damage is told before it is read.
"""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

HEADER, TAG = 128, 8
"""Bytes of a file's header, and of what stands before each of its arrays: kind and length."""

VERSION_5, COMPRESSED = b"MATLAB 5.0", 15
"""How such a file begins, and the kind of an array that is compressed (MAT-File Format, 1-6)."""

CHUNK = 2**20

LONGEST = 1800
"""Seconds that a file may take; MPII's takes half a minute."""

READ = """
import sys
sys.path[:] = filter(None, sys.path)
import pickle
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
except (ImportError, ValueError, OSError):
    pass
from scipy.io import loadmat
try:
    content = loadmat(sys.argv[1], **pickle.loads(bytes.fromhex(sys.argv[2])))
    pickle.dump(content, sys.stdout.buffer, protocol=5)
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
"""What the process does. What damage promises must not take all memory."""


class DamagedError(Exception):
    """A file that cannot be read; says why, without its name."""


def load(path: Path, names: Iterable[str], **options: Any) -> dict[str, Any]:
    """Arrays of a MATLAB file by their names, as `scipy.io.loadmat` gives them.

    Args:
        path: The file.
        names: Of the arrays; those that are not there are left out.
        options: `loadmat`'s.

    Raises:
        OSError: If it cannot be opened.
        DamagedError: If it is no such file, or a damaged one.
    """
    with path.open("rb") as file:
        _require_checksums(file)
    asked = pickle.dumps({"variable_names": list(names), **options}).hex()
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ, os.fspath(path), asked],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DamagedError(f"it takes more than {LONGEST} s to read") from error
    if done.returncode < 0:
        raise DamagedError(f"Damage: it crashed the reader (signal {-done.returncode})")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DamagedError(" ".join(said[-1].split()) if said else "Damage: it ended the reader")
    content: dict[str, Any] = pickle.loads(done.stdout)
    return content


def _require_checksums(file: BinaryIO) -> None:
    """Goes over the compressed arrays at a file's beginning.

    Raises:
        DamagedError: If one ends early, or its checksum is wrong.
    """
    header = file.read(HEADER)
    order = {b"IM": "<", b"MI": ">"}.get(header[HEADER - 2 :])
    if not header.startswith(VERSION_5) or order is None:
        return
    while tag := file.read(TAG):
        if len(tag) < TAG:
            raise DamagedError("Damage: it ends within an array")
        kind, length = struct.unpack(f"{order}II", tag)
        if kind != COMPRESSED:
            return
        _require_whole(file, length)


def _require_whole(file: BinaryIO, length: int) -> None:
    stream = zlib.decompressobj()
    while length:
        part = file.read(min(length, CHUNK))
        if not part:
            raise DamagedError("Damage: it ends within an array")
        length -= len(part)
        try:
            while part:
                stream.decompress(part, CHUNK)
                part = stream.unconsumed_tail
        except zlib.error as error:
            raise DamagedError(f"Damage: {error}") from error
    if not stream.eof:
        raise DamagedError("Damage: an array ends early")
