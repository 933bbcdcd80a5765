"""Models as a page in the browser takes them: LiteRT files that give heatmaps, small ones."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from hourglass.core.errors import InputError
from hourglass.exporting.choices import ENDINGS, FLOAT16, LITERT, Choices
from hourglass.inference.detection import LITERT_WEIGHTS
from hourglass.inference.estimator import SHIPPED, SHIPPED_LITERT, default_model
from hourglass.modelfiles.metadata import SUFFIX
from hourglass.modelfiles.runtimes import load_runtime

RUN_FILES = ("best", "last")
"""How every training run calls its models: such a name says nothing, the run's folder does."""


def default_models() -> list[Path]:
    """The model of one's own that was trained last, or else all that are shipped, largest first."""
    model = default_model()
    if model not in (SHIPPED, SHIPPED_LITERT):
        return [model]
    files = set(SHIPPED.parent.glob(f"*{ENDINGS[LITERT]}")) - {LITERT_WEIGHTS}
    return sorted(files, key=lambda file: file.stat().st_size, reverse=True)


def browser_models(models: Sequence[Path], folder: Path) -> list[Path]:
    """A LiteRT file for each model: its own, or with float16 weights made in `folder`.

    Its stem is what the page calls the model: `small` of `models/small/best.keras`.

    Args:
        models: `.keras` and `.tflite` files.
        folder: Where files are made.

    Raises:
        InputError: If a file cannot be loaded, gives no heatmaps, is of another format, or two have
            one name.
    """
    names = [_name_of(model) for model in models]
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled:
        raise InputError(f"--model: two models are called {doubled}; a page needs different names")
    return [
        _browser_model(model, folder / f"{name}{ENDINGS[LITERT]}")
        for model, name in zip(models, names, strict=True)
    ]


def _name_of(model: Path) -> str:
    return model.resolve().parent.name if model.stem in RUN_FILES else model.stem


def _browser_model(model: Path, output: Path) -> Path:
    if model.resolve() == SHIPPED:
        return SHIPPED_LITERT
    if model.suffix == SUFFIX:
        from hourglass.exporting.formats import export_model

        export_model(model, output, Choices(LITERT, batch=1, quantize=FLOAT16))
        return output
    if model.suffix != ENDINGS[LITERT]:
        allowed = f"{SUFFIX} and {ENDINGS[LITERT]}"
        raise InputError(f"--model {model}: a page takes {allowed} files only")
    load_runtime(model)  # so that a damaged one is told here, not by the visitor's browser
    return model if model.stem == output.stem else Path(shutil.copyfile(model, output))
