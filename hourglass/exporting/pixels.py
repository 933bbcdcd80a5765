"""How a LiteRT file takes its picture: as quantised bytes, which accelerators know.

The converter begins with CAST from UINT8 to FLOAT32, which GPU delegates do not take. DEQUANTIZE of
bytes whose scale is 1 and zero point 0 gives the same numbers, and they do take that.
"""

from __future__ import annotations

from typing import Any

ALIGNMENT = 16
"""Bytes: where a file's weights begin, by LiteRT's schema."""


def with_quantised_pixels(content: bytes) -> bytes:
    """A LiteRT file in which the CAST of the uint8 input became a DEQUANTIZE.

    Args:
        content: The file, as the converter gives it.

    Returns:
        The changed file; the same one if its input is not cast.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (graph,) = model.subgraphs
    (picture,) = graph.inputs
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if picture in operator.inputs and code.builtinCode == schema.BuiltinOperator.CAST:
            _dequantise(model, operator, graph.tensors[picture], schema)
            return _packed(model, schema)
    return content


def _dequantise(model: Any, operator: Any, picture: Any, schema: Any) -> None:
    """Turns a CAST of `picture` into a DEQUANTIZE, in place."""
    scale = schema.QuantizationParametersT()
    scale.scale, scale.zeroPoint = [1.0], [0]
    picture.quantization = scale
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 1
    model.operatorCodes.append(code)
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    operator.builtinOptions = schema.DequantizeOptionsT()


def _packed(model: Any, schema: Any) -> bytes:
    import flatbuffers

    class AlignedBuilder(flatbuffers.Builder):
        """Keeps the schema's alignment of weights, which generated Python code leaves out."""

        def StartVector(self, size: int, count: int, alignment: int) -> int:  # noqa: N802
            return super().StartVector(size, count, ALIGNMENT if size == 1 else alignment)

    builder = AlignedBuilder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
