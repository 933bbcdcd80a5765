"""Graphics cards: which one is here, and what it can do at most, to hold measured TFLOP/s against.

Peaks are those of dense matrices at boost clock, with sums in float32, from NVIDIA's white papers:
"H100 Tensor Core GPU Architecture" (2022; the H200 computes as fast by its data sheet), "A100
Tensor Core GPU Architecture" (2020) and "Ada GPU Architecture" (2022; TF32 is no faster there than
float32). NVIDIA's data sheets print twice as much where they count on sparsity.
"""

from __future__ import annotations

import keras

_H100_SXM = {"float32": 66.9, "tf32": 494.7, "bfloat16": 989.4}
_A100 = {"float32": 19.5, "tf32": 156.0, "bfloat16": 312.0}

PEAKS: dict[str, dict[str, float]] = {
    "NVIDIA H200": _H100_SXM,
    "NVIDIA H100 80GB HBM3": _H100_SXM,
    "NVIDIA A100-SXM4-40GB": _A100,
    "NVIDIA A100-SXM4-80GB": _A100,
    "NVIDIA A100-PCIE-40GB": _A100,
    "NVIDIA A100 80GB PCIe": _A100,
    "NVIDIA GeForce RTX 4090": {"float32": 82.6, "tf32": 82.6, "bfloat16": 165.2},
}
"""TFLOP/s by the driver's name of the card and the arithmetic; slower cards have similar names."""


def card_name() -> str:
    """The first GPU's name as its driver gives it, or `CPU`."""
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        return "CPU" if device.platform == "cpu" else device.device_kind
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "CPU"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unnamed GPU"))


def peak(card: str, arithmetic: str) -> float | None:
    """TFLOP/s that a card can reach at most; None if the card is not known.

    Args:
        card: Its name as `card_name` gives it.
        arithmetic: `float32`, `tf32` or `bfloat16`.
    """
    return PEAKS[card][arithmetic] if card in PEAKS else None
