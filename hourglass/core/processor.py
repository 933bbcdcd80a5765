"""Settings by which TensorFlow and Keras run faster on CPUs; never against the user's own.

They act on the whole process, before TensorFlow is loaded: whoever is about to load it for a
training or a prediction calls `prepare_processor`.
"""

from __future__ import annotations

import ctypes
import os
import platform

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
"""Whether TensorFlow uses oneDNN's kernels; by itself it does on processors with AVX-512 only."""

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Numbers of glibc's `mallopt` (malloc.h)."""

KEPT = 2**31 - 1
"""Free bytes at the end of the heap that are kept: as many as `mallopt` takes."""

STEP = 2**28
"""Bytes by which the heap grows at least."""

OWN_SETTINGS = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_")
"""Variables by which a user sets the same."""


def prepare_processor() -> None:
    """Uses oneDNN on any processor, and keeps memory that is freed (Linux with glibc).

    The features of a training step are large arrays. glibc gets each from the kernel and gives it
    back, and the kernel clears every page of it again at every step.
    """
    os.environ.setdefault(ONEDNN, "1")
    if _is_glibc() and not _is_set_by_user():
        library = ctypes.CDLL(None)
        for option, value in ((MMAP_MAX, 0), (TRIM_THRESHOLD, KEPT), (TOP_PAD, STEP)):
            library.mallopt(option, value)


def _is_glibc() -> bool:
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"


def _is_set_by_user() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc" in tunables or any(name in os.environ for name in OWN_SETTINGS)
