"""What a training runs on: which devices, in which precision, compiled or not."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from loguru import logger

from hourglass.core.processor import take_memory_as_needed
from hourglass.data.batches import Share

BFLOAT16_CAPABILITY = (8, 0)
"""First CUDA compute capability whose tensor cores take bfloat16 (Ampere)."""

BFLOAT16_CPU_FLAGS = {"avx512_bf16", "amx_bf16"}


@dataclass(frozen=True)
class Devices:
    """What to train on.

    Attributes:
        replicas: Copies of the network that share each batch.
        description: For people, such as "1 GPU" or "CPU".
        gpus: Number of GPUs; 0 means the CPU.
        bfloat16: Whether the hardware multiplies in bfloat16.
        strategy: TensorFlow's distribution strategy; None on other backends.
        share: What this process makes of each batch, where several train together; else None.
    """

    replicas: int
    description: str
    gpus: int
    bfloat16: bool
    strategy: Any = None
    share: Share | None = None

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return self.share.count if self.share else 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes the run's files."""
        return self.share is None or self.share.index == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Where variables must be made."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def policy(self, precision: str) -> str:
        """The Keras dtype policy for a choice of `TrainConfig.precision`."""
        if precision != "auto":
            return precision
        return "mixed_bfloat16" if self.bfloat16 else "float32"

    def jit(self, xla: str) -> bool:
        """Whether to compile with XLA, for a choice of `TrainConfig.xla`.

        On CPUs it made training slower; between GPUs the sums of BatchNorm leave the compiled part.
        """
        if keras.backend.backend() == "jax":
            return True
        return xla == "on" or (xla == "auto" and self.gpus == 1)


def find_devices(names: list[str] | None = None, *, share: Share | None = None) -> Devices:
    """All GPUs there are, or one CPU device.

    Args:
        names: TensorFlow device names to use instead, such as `["CPU:0", "CPU:1"]`.
        share: What this process makes of each batch, where `jax.distributed` has joined several:
            then the devices are those of all of them.
    """
    if keras.backend.backend() == "jax":
        return _jax_devices(share)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    take_memory_as_needed()
    strategy = tf.distribute.MirroredStrategy(names or _logical_names())
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    ampere = all(one.get("compute_capability", (0, 0)) >= BFLOAT16_CAPABILITY for one in details)
    return Devices(
        replicas=strategy.num_replicas_in_sync,
        description=_describe(len(gpus)),
        gpus=len(gpus),
        bfloat16=ampere if gpus else _cpu_has_bfloat16(),
        strategy=strategy,
    )


def tensorflow_is_there() -> bool:
    """Whether TensorFlow is installed: it may be missing where Keras runs on JAX."""
    return importlib.util.find_spec("tensorflow") is not None


def _logical_names() -> list[str]:
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    return [device.name for device in gpus] or ["CPU:0"]


def _jax_devices(share: Share | None) -> Devices:
    import jax

    if share is None and tensorflow_is_there():
        import tensorflow as tf

        try:
            tf.config.set_visible_devices([], "GPU")
        except RuntimeError:  # it has begun
            logger.info("TensorFlow keeps the GPUs that it uses already beside JAX")
    count = jax.device_count()
    if count > 1:
        # Each process makes its own part of the batches.
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )
    gpus = count if jax.default_backend() == "gpu" else 0
    return Devices(
        replicas=count,
        description=_describe(gpus) + _described(share),
        gpus=gpus,
        bfloat16=_all_say(gpus > 0 or _cpu_has_bfloat16(), share),
        share=share,
    )


def _described(share: Share | None) -> str:
    return f", {share.count} worker{'s' * (share.count > 1)}" if share else ""


def _all_say(yes: bool, share: Share | None) -> bool:
    """Whether all processes say yes: they must run the same program."""
    if share is None:
        return yes
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.array(yes)).all())


@contextlib.contextmanager
def on_this_process() -> Iterator[None]:
    """Within it, variables are made for this process alone."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def _describe(gpus: int) -> str:
    return f"{gpus} GPU{'s' if gpus > 1 else ''}" if gpus else "CPU"


def _cpu_has_bfloat16() -> bool:
    """Linux tells in /proc; elsewhere the safe answer is no."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False
    return not BFLOAT16_CPU_FLAGS.isdisjoint(flags)
