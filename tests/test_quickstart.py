"""The notebook runs from its first cell to its last, with fewer people, layers and epochs."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"
SMALLEST = {
    **{"train.epochs": 1, "network.architecture": "unet", "network.channels": 8},
    **{"network.depth": 1, "network.input_size": 32},
}
SHORTER = {
    "train=800, validation=80": "train=40, validation=16",
    'replace("train.epochs", 9)': f"with_choices({SMALLEST})",
    "range(300)": "range(40)",
    'replace("train.epochs", 12)': f"with_choices({SMALLEST})",
}

pytest.importorskip("ipykernel")


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    sources = [cell for cell in notebook.cells if cell.cell_type == "code"]
    here = {'tempfile.mkdtemp(prefix="hourglass_")': repr(str(tmp_path))}
    for long, short in {**SHORTER, **here}.items():
        (cell,) = [cell for cell in sources if long in cell.source]
        cell.source = cell.source.replace(long, short)
    NotebookClient(notebook, timeout=1800, kernel_name="python3").execute()
    kinds = [output.output_type for cell in sources for output in cell.outputs]
    assert kinds.count("display_data") == 4
    printed = "".join(
        output.text
        for cell in sources
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    )
    assert "Mean, pooled" in printed
    assert "('top', 'left_corner', 'bottom', 'right_corner')" in printed


def test_the_notebook_is_kept_as_it_ran():
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    numbers = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert numbers == list(range(1, len(numbers) + 1))
