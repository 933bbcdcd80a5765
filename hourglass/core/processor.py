"""How TensorFlow uses the processor and the GPUs; never against the user's own settings.

They act on the whole process. Whoever is about to load TensorFlow for a training or a prediction
calls `prepare_processor`, and before it runs anything `take_memory_as_needed`.
"""

from __future__ import annotations

import ctypes
import os
import platform

from loguru import logger

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


def take_memory_as_needed(kind: str = "GPU") -> None:
    """Lets TensorFlow take the memory of GPUs bit by bit, so that some stays for other programs.

    By itself it takes all of each GPU with its first operation. After that nothing can be changed,
    which is said.

    Args:
        kind: Of the devices.
    """
    import tensorflow as tf

    for device in tf.config.list_physical_devices(kind):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except (RuntimeError, ValueError) as error:  # it has begun, or has been set by the user
            logger.info(f"{device.name}: its memory is shared as it was before ({error})")


def core_count() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count() -> int:
    """Threads for a library to use: as OMP_NUM_THREADS says, which Ray sets; else all cores."""
    try:
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    except (KeyError, ValueError):
        return core_count()


def _is_glibc() -> bool:
    return platform.system() == "Linux" and platform.libc_ver()[0] == "glibc"


def _is_set_by_user() -> bool:
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc" in tunables or any(name in os.environ for name in OWN_SETTINGS)
