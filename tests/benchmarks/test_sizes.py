"""The table of models of several sizes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.sizes import File, to_line


def test_a_row_has_every_kind_and_number_of_threads(tmp_path: Path):
    files, seconds = [], {}
    for kind, size in (("float32", 2_500_000), ("float16", 1_254_000)):
        path = tmp_path / f"0_{kind}.tflite"
        path.write_bytes(bytes(size))
        files.append(File(Path("models/nano.keras"), kind, path, 621_000, 192))
        seconds |= {f"{path.name} 1": size * 1e-8, f"{path.name} 2": size * 5e-9}
    scores = {"models/nano.keras": {"mix": "80.0 / 20.0; flip 81.0 / 21.0"}}
    assert to_line(files, seconds, scores) == (
        "| nano | 192 | 621,000 | 2.50 / 1.25 | 25.0 / 12.5 | 12.5 / 6.3 | "
        "80.0 / 20.0; flip 81.0 / 21.0 |"
    )
