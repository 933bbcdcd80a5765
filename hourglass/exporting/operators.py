"""Which operators of a LiteRT file the accelerators of phones take: GPU delegates and NNAPI.

An operator that an accelerator does not take runs on the processor, with a copy of its input and
output between the two. The tables follow LiteRT's own source (github.com/google-ai-edge/LiteRT, as
read in November 2026, after release 2.1): `tflite/delegates/gpu/common/model_builder.cc` and
`tflite/tools/versioning/gpu_compatibility.cc` for the GPU delegate of OpenCL, OpenGL and Metal,
`NNAPIDelegateKernel::Validate` in `tflite/delegates/nnapi/nnapi_delegate.cc` for NNAPI 1.3, that of
Android 11. `tf.lite.experimental.Analyzer` promises such a check of GPUs, but in TensorFlow 2.21's
package it finds every operator compatible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hourglass.core.errors import InputError

FLOAT16 = "FLOAT16"
FLOATS = frozenset({"FLOAT32", FLOAT16})
QUANTISED = frozenset({"INT8", "UINT8"})

DIMENSIONS = 4
"""The most that a tensor of an accelerator has."""


@dataclass(frozen=True)
class Operator:
    """One operator as a LiteRT file holds it.

    Attributes:
        name: As the schema spells it, such as `"CONV_2D"`; a custom one's own.
        version: Of its behaviour; a new version came with each new type or option.
        inputs: Types of its inputs that are computed, in order.
        constants: Types of those that the file holds, in order.
        outputs: Types of its outputs.
        dimensions: The most that one of its computed tensors has.
    """

    name: str
    version: int
    inputs: tuple[str, ...]
    constants: tuple[str, ...]
    outputs: tuple[str, ...]
    dimensions: int

    @property
    def unpacks_weights(self) -> bool:
        """Whether it only turns float16 weights of the file into float32.

        Both accelerators do that once, when they take the model.
        """
        return self.name == "DEQUANTIZE" and not self.inputs and self.constants == (FLOAT16,)


def read_operators(path: Path) -> list[Operator]:
    """The operators of a `.tflite` file, in the order in which they run.

    Raises:
        InputError: If it is not such a file.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    content = path.read_bytes()
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise InputError(f"{path}: not a LiteRT file")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    names, types = _names(schema.BuiltinOperator), _names(schema.TensorType)
    operators = []
    for graph in model.subgraphs:
        held = {
            number
            for number, tensor in enumerate(graph.tensors)
            if _is_filled(model.buffers[tensor.buffer])
        }
        for entry in graph.operators:
            code = model.operatorCodes[entry.opcodeIndex]
            # Codes above 127 do not fit in the older of the two fields.
            name = names[max(code.builtinCode, code.deprecatedBuiltinCode)]
            name = code.customCode.decode() if name == "CUSTOM" else name
            operator = _operator(name, code.version, entry, graph.tensors, held, types)
            operators.append(operator)
            if operator.unpacks_weights:
                held.update(entry.outputs)
    return operators


def _operator(
    name: str, version: int, entry: Any, tensors: list[Any], held: set[int], types: dict[int, str]
) -> Operator:
    """An operator of the schema, of a graph's tensors of which the file holds some."""
    given = [index for index in entry.inputs if index >= 0]
    computed = [index for index in given if index not in held]
    constants = [index for index in given if index in held]
    shapes = [tensors[index].shape for index in (*computed, *entry.outputs)]

    def types_of(indices: Iterable[int]) -> tuple[str, ...]:
        return tuple(types[tensors[index].type] for index in indices)

    return Operator(
        name=name,
        version=version,
        inputs=types_of(computed),
        constants=types_of(constants),
        outputs=types_of(entry.outputs),
        dimensions=max(0 if shape is None else len(shape) for shape in shapes),
    )


def _is_filled(buffer: Any) -> bool:
    return buffer.data is not None and len(buffer.data) > 0


def _names(enumeration: type) -> dict[int, str]:
    return {number: name for name, number in vars(enumeration).items() if name.isupper()}


# GPU delegates.

_GPU_NAMES = """
    ABS ADD ADD_N AVERAGE_POOL_2D BATCH_MATMUL CAST CONCATENATION CONV_2D COS CUMSUM DENSIFY
    DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV ELU EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD
    FULLY_CONNECTED GATHER GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG
    LOGICAL_AND LOGISTIC LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT
    PACK PAD PADV2 POW PRELU QUANTIZE REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_0_TO_1
    RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SELECT SELECT_V2 SIGN SIN
    SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM
    TANH TILE TRANSPOSE TRANSPOSE_CONV UNPACK
"""

GPU_OPERATORS = frozenset(_GPU_NAMES.split())
"""The operators that they take, of some types."""

GPU_MORE_INPUTS = {
    "GATHER": {"INT32"},
    "LOGICAL_AND": {"BOOL"},
    "ONE_HOT": {"INT32"},
    "SELECT": {"BOOL"},
    "SELECT_V2": {"BOOL"},
}
"""Types that they take beside floats and integers of 8 bits."""

COMPARISONS = {
    "EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "LOGICAL_AND", "NOT_EQUAL",
}  # fmt: skip
"""Those that give BOOL."""

GPU_CASTS = {("BOOL", "FLOAT32"), ("FLOAT32", "BOOL")} | {
    (one, other) for one in ("FLOAT32", "INT32") for other in ("FLOAT32", "INT32")
}


def on_gpu(operator: Operator) -> bool:
    """Whether the GPU delegates of Android and iOS take an operator."""
    if operator.unpacks_weights:
        return True
    if operator.name not in GPU_OPERATORS or operator.dimensions > DIMENSIONS:
        return False
    if operator.name == "CAST":
        return (*operator.inputs, *operator.outputs) in GPU_CASTS
    taken = FLOATS | QUANTISED
    given = taken | {"BOOL"} if operator.name in COMPARISONS else taken
    taken = taken | GPU_MORE_INPUTS.get(operator.name, set())
    return taken.issuperset(operator.inputs) and given.issuperset(operator.outputs)


# NNAPI.

_REAL = frozenset({"FLOAT32"})
_USUAL = _REAL | QUANTISED
_NUMBERS = _USUAL | {"INT32"}
_LOGICAL = frozenset({"BOOL"})

NNAPI_OPERATORS: dict[str, tuple[int, frozenset[str]]] = {
    **dict.fromkeys(("ADD", "MUL", "SQUARED_DIFFERENCE"), (2, _NUMBERS)),
    **dict.fromkeys(("MAXIMUM", "MINIMUM", "SPLIT", "SUB"), (3, _NUMBERS)),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "SELECT", "SLICE", "TOPK_V2"), (2, _NUMBERS)),
    **dict.fromkeys(("CAST", "EXPAND_DIMS", "TILE"), (1, _NUMBERS)),
    **dict.fromkeys(("GATHER", "SPLIT_V"), (2, _NUMBERS)),
    **dict.fromkeys(("AVERAGE_POOL_2D", "CONCATENATION", "HARD_SWISH", "LOGISTIC"), (2, _USUAL)),
    **dict.fromkeys(("MAX_POOL_2D", "MEAN", "PAD", "PADV2", "QUANTIZE"), (2, _USUAL)),
    **dict.fromkeys(("REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_N1_TO_1"), (2, _USUAL)),
    **dict.fromkeys(("SOFTMAX", "STRIDED_SLICE", "TANH", "TRANSPOSE", "UNPACK"), (2, _USUAL)),
    **dict.fromkeys(("DEPTH_TO_SPACE", "SPACE_TO_DEPTH"), (2, _USUAL)),
    **dict.fromkeys(("LEAKY_RELU", "PRELU", "RESHAPE", "SQUEEZE"), (1, _USUAL)),
    **dict.fromkeys(("CONV_2D", "FULLY_CONNECTED"), (5, _USUAL)),
    **dict.fromkeys(("DEPTHWISE_CONV_2D", "RESIZE_BILINEAR"), (3, _USUAL)),
    "RESIZE_NEAREST_NEIGHBOR": (3, _USUAL),
    "TRANSPOSE_CONV": (4, _USUAL),
    "DEQUANTIZE": (2, QUANTISED),
    "PACK": (2, frozenset({"FLOAT32", "INT8"})),
    "NEG": (2, frozenset({"FLOAT32", "INT32"})),
    **dict.fromkeys(("ABS", "COS", "DIV", "ELU", "EXP", "LOG", "LOG_SOFTMAX"), (1, _REAL)),
    **dict.fromkeys(("POW", "REDUCE_PROD", "SIN", "SQRT", "SUM"), (1, _REAL)),
    "RSQRT": (2, _REAL),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR"), (1, _LOGICAL)),
    **dict.fromkeys(sorted(COMPARISONS - {"LOGICAL_AND"}), (2, _NUMBERS | _LOGICAL)),
}
"""The newest version that is taken, and the types of the first computed input."""

CONSTANT_FIRST = {"TRANSPOSE_CONV"}
"""Their first input, the shape of the output, must stand in the file."""


def on_nnapi(operator: Operator) -> bool:
    """Whether NNAPI 1.3 takes an operator."""
    if operator.unpacks_weights:
        return True
    if operator.name not in NNAPI_OPERATORS or operator.dimensions > DIMENSIONS:
        return False
    version, types = NNAPI_OPERATORS[operator.name]
    if operator.name in CONSTANT_FIRST and len(operator.inputs) > 1:
        return False
    return operator.version <= version and types.issuperset(operator.inputs[:1])


ACCELERATORS: dict[str, Callable[[Operator], bool]] = {"GPU delegates": on_gpu, "NNAPI": on_nnapi}


def describe_operators(operators: list[Operator]) -> str:
    """One line: that all run on the accelerators, or which do not."""
    kinds = {operator.name for operator in operators}
    refused = {
        accelerator: sorted({_label(one) for one in operators if not takes(one)})
        for accelerator, takes in ACCELERATORS.items()
    }
    lists = [f"not on {name}: {', '.join(labels)}" for name, labels in refused.items() if labels]
    if not lists:
        return f"all {len(kinds)} kinds of operators run on {' and '.join(ACCELERATORS)}"
    return "; ".join(lists)


def _label(operator: Operator) -> str:
    """What tells an operator from others of its name: its version and what it computes on."""
    types = f"{'+'.join(operator.inputs) or 'constant'} to {'+'.join(operator.outputs)}"
    return f"{operator.name} {operator.version} ({types})"
