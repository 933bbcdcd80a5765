"""BatchNorm made part of the convolutions around it, for networks that only predict.

A trained BatchNorm is a scale and an offset per channel. Behind a convolution both go into its
kernel and bias (Jacob et al., CVPR 2018, section 3.2), and elsewhere they become one product and
one sum: the same heatmaps up to rounding, in less time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

Operation = Callable[..., Any]


def folded(network: keras.Model) -> Callable[[Any], Any]:
    """A function that predicts the same as a functional network, with fewer operations.

    Args:
        network: In float32, with one input. Its weights must not change afterwards.

    Returns:
        From what the network takes to what it gives. Nothing in it is compiled yet.
    """
    replaced: dict[str, Operation] = {}
    outputs = {id(tensor) for tensor in network.outputs}
    for norm in network.layers:
        if _can_go(norm):
            scale, offset = _scale_and_offset(norm)
            convolution = _convolution_before(norm, outputs)
            if convolution is None:
                replaced[norm.name] = _per_channel(scale, offset)
            else:
                replaced[convolution.name] = _folded_convolution(convolution, scale, offset)
                replaced[norm.name] = _unchanged

    def predict(images: Any) -> Any:
        # Keras's own walk over a graph is not public; a copy of the graph takes a second to make.
        return network._run_through_graph(
            [images], operation_fn=lambda operation: replaced.get(operation.name, operation)
        )

    return predict


def _can_go(layer: layers.Layer) -> bool:
    """Whether it is a BatchNorm of channels that come last, in float32, and used once."""
    return (
        isinstance(layer, layers.BatchNormalization)
        and len(layer._inbound_nodes) == 1
        and layer.axis in (-1, len(layer.input.shape) - 1)
        and layer.scale
        and layer.center
        and layer.compute_dtype == "float32"
    )


def _convolution_before(norm: layers.Layer, outputs: set[int]) -> layers.Layer | None:
    """The convolution whose output this BatchNorm alone takes, if there is one.

    Args:
        norm: The BatchNorm.
        outputs: Identities of what the network gives, which must stay as it is.
    """
    taken = norm._inbound_nodes[0].input_tensors[0]
    before = taken._keras_history.operation
    foldable = (
        isinstance(before, layers.Conv2D | layers.DepthwiseConv2D)
        and len(before._inbound_nodes) == len(before._outbound_nodes) == 1
        and id(taken) not in outputs
        and before.activation is keras.activations.linear
        and before.data_format == "channels_last"
        and before.compute_dtype == "float32"
    )
    return before if foldable else None


def _scale_and_offset(norm: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """What a BatchNorm does to its channels when it predicts."""
    mean, variance = (
        ops.convert_to_numpy(value).astype(np.float64)
        for value in (norm.moving_mean, norm.moving_variance)
    )
    gamma, beta = ops.convert_to_numpy(norm.gamma), ops.convert_to_numpy(norm.beta)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale.astype(np.float32), (beta - mean * scale).astype(np.float32)


def _folded_convolution(
    convolution: layers.Layer, scale: np.ndarray, offset: np.ndarray
) -> Operation:
    """A convolution that scales and offsets its outputs, too."""
    kernel = ops.convert_to_numpy(convolution.kernel)
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)
    if convolution.use_bias:
        offset = offset + scale * ops.convert_to_numpy(convolution.bias)
    scaled = ops.convert_to_tensor(
        kernel * (scale.reshape(kernel.shape[-2:]) if depthwise else scale)
    )
    bias = ops.convert_to_tensor(offset)
    convolve = ops.depthwise_conv if depthwise else ops.conv

    def run(x: Any) -> Any:
        return (
            convolve(
                x,
                scaled,
                strides=convolution.strides,
                padding=convolution.padding,
                dilation_rate=convolution.dilation_rate,
            )
            + bias
        )

    return run


def _per_channel(scale: np.ndarray, offset: np.ndarray) -> Operation:
    factor, term = ops.convert_to_tensor(scale), ops.convert_to_tensor(offset)

    def run(x: Any, mask: Any = None) -> Any:
        return x * factor + term

    return run


def _unchanged(x: Any, mask: Any = None) -> Any:
    return x
