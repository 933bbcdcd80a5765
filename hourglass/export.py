"""`python -m hourglass.export`: writes a model for other runtimes, and compares the two."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from loguru import logger

from hourglass.console import PATH, PLACE, command, models_option, quiet_stderr
from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.storage import Place
from hourglass.exporting import choices
from hourglass.exporting.browser import browser_models, default_models
from hourglass.exporting.operators import describe_operators, read_operators
from hourglass.inference.estimator import default_model
from hourglass.lifting.model_file import SUFFIX as LIFTER_SUFFIX
from hourglass.modelfiles.metadata import HEATMAPS, OUTPUTS
from hourglass.web.litert_js import find_runtime
from hourglass.web.site import require_free as require_page_free
from hourglass.web.site import write_site


def _echo_operators(output: Place, kind: str) -> None:
    """Says of a LiteRT file whether the accelerators of phones take its operators."""
    if kind == choices.LITERT:
        click.echo(describe_operators(read_operators(local_copy(output))))


def _export_lifter(
    model: Place, kind: str, *, output: Place | None, quantize: str | None, force: bool
) -> None:
    with quiet_stderr():
        from hourglass.lifting import exporting

        output = choices.on_this_machine(output or exporting.default_output(model, kind))
        copy = local_copy(model)
        exporting.export_lifter(copy, output, kind, quantize=quantize, force=force)
        parity = exporting.compare(copy, output)
    click.echo(exporting.format_parity(parity))
    _echo_operators(output, kind)
    click.echo(f"export of {model} in {output}")


def _export_page(
    models: tuple[Place, ...], output: Place | None, runtime: Path | None, *, force: bool
) -> None:
    if output is None:
        raise InputError(f"--format {choices.WEB} writes a folder: name it by --output")
    output = choices.on_this_machine(output)
    require_page_free(output, force=force)
    npm_folder = find_runtime(runtime)
    with quiet_stderr(), tempfile.TemporaryDirectory() as made:
        files = browser_models([*map(local_copy, models)] or default_models(), Path(made))
        write_site(output, files, runtime=npm_folder, force=force)
    names = ", ".join(file.stem for file in files)
    click.echo(f"page with {names} in {output}; python -m http.server -d {output} shows it")


@click.command()
@models_option
@click.option(
    "--format",
    "kind",
    type=click.Choice([*choices.ENDINGS, choices.WEB]),
    required=True,
    help="What runs the export; web: a page that runs the model in the visitor's browser.",
)
@click.option(
    "--outputs",
    type=click.Choice(list(OUTPUTS)),
    default=HEATMAPS,
    show_default=True,
    help="What it gives: heatmaps, which this project decodes, or x, y and score of each joint.",
)
@click.option(
    "--input-size", type=click.IntRange(min=1), help="Side of its crops, px. [default: the model's]"
)
@click.option(
    "--batch", type=click.IntRange(min=1), help="Crops it takes at a time. [default: any number]"
)
@click.option(
    "--quantize",
    type=click.Choice(choices.QUANTIZATIONS),
    help="litert: weights in float16, or nearly all layers in int8. [default: float32]",
)
@click.option("--calibrate", metavar="GLOB", help="int8: training shards to measure ranges on.")
@click.option("--data", metavar="GLOB", help="Validation shards to score both files on.")
@click.option(
    "--output",
    type=PLACE,
    help="File or, for saved-model, folder to write. [default: beside a model of your own]",
)
@click.option(
    "--runtime", type=PATH, help="web: npm folder with LiteRT.js. [default: fetched once by npm]"
)
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@command
def main(
    models: tuple[Place, ...],
    kind: str,
    outputs: str,
    input_size: int | None,
    batch: int | None,
    quantize: str | None,
    calibrate: str | None,
    data: str | None,
    output: Place | None,
    runtime: Path | None,
    force: bool,
) -> None:
    """Writes a model for another runtime, then runs both on the same crops and compares them.

    The export takes crops (B, S, S, 3) uint8 RGB, and carries the model's configuration, the
    calibration of its scores and the names of its joints. A lifting network (.npz) becomes LiteRT
    or ONNX: from 2D joints (B, 16, 3) to joints in space, metres.
    """
    if kind == choices.WEB:
        choices.refuse_of_page(input_size, batch, quantize, calibrate, data, outputs != HEATMAPS)
        _export_page(models, output, runtime, force=force)
        return
    if runtime or len(models) > 1:
        raise InputError(f"--runtime and several --model are for --format web only, got {kind}")
    model = models[0] if models else default_model()
    if model.suffix == LIFTER_SUFFIX:
        choices.refuse_of_lifter(model, input_size, batch, calibrate, data, outputs != HEATMAPS)
        _export_lifter(model, kind, output=output, quantize=quantize, force=force)
        return
    chosen = choices.Choices(kind, outputs, batch, quantize, calibrate, input_size)
    output = choices.free_output(model, output, kind, force=force)
    with quiet_stderr():
        from hourglass.exporting.formats import export_model, require_joints
        from hourglass.exporting.parity import compare, format_parity
        from hourglass.modelfiles.keras_file import read_config

        copy = local_copy(model)
        if data:  # before the export is written
            require_joints(read_config(copy), data, option="--data")
        export_model(copy, output, chosen, force=force)
    logger.info(f"{output} written, now it runs beside {model}")
    with quiet_stderr():
        click.echo(format_parity(compare(copy, output, data=data)))
    _echo_operators(output, kind)
    click.echo(f"{chosen.outputs} export of {model} in {output}")


if __name__ == "__main__":
    main()
