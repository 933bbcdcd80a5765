"""Layers as sums and maxima of shifted features: what XLA fuses where its own kernels are slow.

On GPUs XLA takes a depthwise convolution's gradient by the weights as that of a dense one (JAX's
issue 13800), C times the work, and the gradient of max pooling as a scatter. Written by shifts both
are a few passes over the features. For training on JAX only: a network to be saved has Keras's own
layers, with the same weights.
"""

from __future__ import annotations

from typing import Any

from keras import layers, ops


def depthwise_convolution(kernel: int, *, shifted: bool, **options: Any) -> layers.DepthwiseConv2D:
    """Keras's layer, or its twin by shifts.

    Args:
        kernel: Side of the kernel, cells.
        shifted: By shifts.
        options: Keras's; `padding` must be `same`.
    """
    make = ShiftedDepthwiseConv2D if shifted else layers.DepthwiseConv2D
    return make(kernel, padding="same", use_bias=False, **options)


def halving(*, shifted: bool, **options: Any) -> layers.Layer:
    """Max pooling by 2: Keras's layer, or its twin by shifts."""
    return ShiftedMaxPooling2D(**options) if shifted else layers.MaxPooling2D(2, **options)


class ShiftedDepthwiseConv2D(layers.DepthwiseConv2D):
    """Keras's layer without bias, for `same` padding, with the same variable.

    Products are summed in float32, whatever the precision.
    """

    def call(self, inputs: Any) -> Any:
        """(B, H, W, C) to (B, ceil(H / stride), ceil(W / stride), C)."""
        size, stride = self.kernel_size[0], self.strides[0]
        reach = [_spans(length, size, stride) for length in inputs.shape[1:3]]
        padded = ops.pad(inputs, [(0, 0), *(before_after for _, before_after in reach), (0, 0)])
        padded = ops.cast(padded, "float32")
        kernel = ops.cast(self.kernel, "float32")[..., 0]
        (rows, _), (columns, _) = reach
        total = 0.0
        for y in range(size):
            for x in range(size):
                part = padded[:, y : y + rows : stride, x : x + columns : stride]
                total = total + part * kernel[y, x]
        return ops.cast(total, self.compute_dtype)


def _spans(length: int, size: int, stride: int) -> tuple[int, tuple[int, int]]:
    """How far a shift reaches along one axis, and the padding before and after it."""
    cells = -(-length // stride)
    reach = (cells - 1) * stride + 1
    missing = max(reach - 1 + size - length, 0)
    return reach, (missing // 2, missing - missing // 2)


class ShiftedMaxPooling2D(layers.Layer):
    """Max pooling by 2, without overlap, of features with even sides.

    Where several cells share the maximum, they share its gradient, too; Keras's layer gives it to
    one of them.
    """

    def call(self, inputs: Any) -> Any:
        """(B, H, W, C) to (B, H / 2, W / 2, C)."""
        upper = ops.maximum(inputs[:, ::2, ::2], inputs[:, ::2, 1::2])
        lower = ops.maximum(inputs[:, 1::2, ::2], inputs[:, 1::2, 1::2])
        return ops.maximum(upper, lower)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        batch, height, width, channels = input_shape
        return batch, height // 2, width // 2, channels
