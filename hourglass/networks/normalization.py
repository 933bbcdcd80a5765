"""BatchNorm (Ioffe & Szegedy, ICML 2015) as the networks use it: Keras's layer, or a faster twin.

Keras computes BatchNorm's training step from a dozen elementwise operations, each a pass over the
features in float32. TensorFlow has one kernel for it, and one for its gradient, that also take
bfloat16 and float16 as they are. XLA fuses them, but for the variance it waits for the mean: by the
mean of the squares both take one pass.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

SMALLEST_EPSILON = 1.001e-5
"""What the kernel takes on GPUs (cuDNN's CUDNN_BN_MIN_EPSILON, and TensorFlow's margin)."""


def batch_normalization(
    *, fused: bool = False, synchronized: bool = False, **options: Any
) -> layers.BatchNormalization:
    """A BatchNorm layer over the last axis.

    Args:
        fused: Train by TensorFlow's kernel, or on JAX in fewer passes; without `synchronized`. For
            training only: a saved model needs Keras's own layer.
        synchronized: Share the statistics between replicas (TensorFlow backend only).
        options: `keras.layers.BatchNormalization`'s.
    """
    if synchronized:
        return layers.BatchNormalization(synchronized=True, **options)
    if fused and keras.backend.backend() == "tensorflow":
        return FusedBatchNormalization(**options)
    if fused and keras.backend.backend() == "jax":
        return OnePassBatchNormalization(**options)
    return layers.BatchNormalization(**options)


class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's layer with the same variables, trained by one kernel on the TensorFlow backend.

    Its numbers are Keras's up to rounding. While it is not training it is Keras's.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises (..., C) inputs of rank 4 by their own statistics, and notes those."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=[],
            variance=[],
            epsilon=max(self.epsilon, SMALLEST_EPSILON),
            is_training=True,
        )
        # The kernel gives the squares' sum divided by n - 1, Keras keeps it divided by n.
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
        variance *= (count - 1) / count
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return outputs


class OnePassBatchNormalization(layers.BatchNormalization):
    """Keras's layer with the same variables, its mean and variance taken in one pass.

    The variance is the mean of the squares less the square of the mean, in float32. While it is not
    training it is Keras's.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises (..., C) inputs by their own statistics, and notes those."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        features = ops.cast(inputs, "float32")
        axes = tuple(range(len(inputs.shape) - 1))
        mean = ops.mean(features, axis=axes)
        variance = ops.mean(ops.square(features), axis=axes) - ops.square(mean)
        variance = ops.maximum(variance, 0.0)
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        factor = self.gamma * ops.rsqrt(variance + self.epsilon)
        return ops.cast(features * factor + (self.beta - mean * factor), self.compute_dtype)
