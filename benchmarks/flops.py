"""Floating-point operations of a network, counted from its Keras graph on any backend.

Convolutions are counted, as in the literature: what lies between them (BatchNorm, ReLU, sums,
pooling) is about a hundredth of an hourglass's operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras

from hourglass.core.errors import InputError

FLOPS_PER_MULTIPLY_ADD = 2

TRAINING_PASSES = 3
"""Forward passes that a training step is worth: the gradient by the features and the gradient by
the weights each take as many multiply-adds as the forward pass. It is the convention of Amodei &
Hernandez, "AI and Compute" (OpenAI, 2018), and of Kaplan et al., "Scaling Laws for Neural Language
Models" (2020), section 2.1. Updating the weights is left out, and that nobody needs the gradient by
the picture is neglected."""


def flops(model: keras.Model) -> int:
    """Operations of one forward pass over one input of the model.

    A layer counts as often as it is called, and a model inside the model with the sizes it is
    called with. Positions beyond a picture's border count, too: devices compute or skip them.

    Args:
        model: A functional or sequential model with inputs of a fixed size.

    Raises:
        ValueError: If the model has no graph, its inputs have open sizes, or it has layers with
            matrices that are not known here.
    """
    inputs = [_one_input(model, tensor) for tensor in _graph(model).inputs]
    total = 0

    def counted(operation: Any) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            nonlocal total
            if isinstance(operation, keras.Model):
                return walk(operation, arguments[0])
            outputs = operation.compute_output_spec(*arguments, **options)
            total += FLOPS_PER_MULTIPLY_ADD * _multiply_adds(operation, outputs)
            return outputs

        return run

    def walk(part: keras.Model, arguments: Any) -> Any:
        # Keras's own walk over a graph is not public, but all its shapes are computed by it.
        return _graph(part)._run_through_graph(arguments, operation_fn=counted)

    walk(model, inputs)
    return total


def training_flops(model: keras.Model) -> int:
    """Operations of a training step, per picture."""
    return TRAINING_PASSES * flops(model)


def _graph(model: keras.Model) -> Any:
    """The functional model that knows the graph: a sequential model keeps one inside."""
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_run_through_graph"):
        raise InputError(
            f"model {model.name!r} has no graph to count in; it must be functional or sequential, "
            "and built"
        )
    return graph


def _one_input(model: keras.Model, tensor: keras.KerasTensor) -> keras.KerasTensor:
    shape = tuple(tensor.shape[1:])
    if None in shape:
        raise InputError(
            f"model {model.name!r}: input {tensor.name!r} has the open shape {shape}; its sizes "
            "must be fixed"
        )
    return keras.KerasTensor((1, *shape), tensor.dtype)


def _multiply_adds(operation: Any, outputs: Any) -> int:
    """Multiply-adds of a layer or an operation with these outputs, biases left out."""
    if isinstance(operation, keras.layers.DepthwiseConv2D):
        return math.prod(outputs.shape) * math.prod(operation.kernel.shape[:2])
    if isinstance(operation, keras.layers.Conv2D):
        return math.prod(outputs.shape) * math.prod(operation.kernel.shape[:3])
    if any(len(weight.shape) > 1 for weight in getattr(operation, "weights", ())):
        raise InputError(
            f"layer {operation.name!r} is a {type(operation).__name__}, whose operations are not "
            "known; Conv2D and DepthwiseConv2D are"
        )
    return 0
