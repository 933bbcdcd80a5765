"""`tools.show_labels`: a sheet for any format, and what is odd about the labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hourglass.media.pictures import read_picture
from tools.show_labels import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 90, "height": 60} for n in range(3)],
        "annotations": [
            {
                "image_id": n,
                "category_id": 1,
                "keypoints": [20, 20, 2, 60, 40, 1],
                "bbox": [10, 10, 60, 40],
            }
            for n in range(3)
        ],
        "categories": [{"id": 1, "name": "rod", "keypoints": ["tip", "end"], "skeleton": [[1, 2]]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    (tmp_path / "images").mkdir()
    for number in range(3):
        Image.new("RGB", (90, 60), (number, 80, 80)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    sheet = folder / "sheet.png"
    return CliRunner().invoke(
        main, ["--annotations", str(folder / "labels.json"), "--output", str(sheet), *arguments]
    )


def test_a_sheet_is_written(folder: Path):
    result = run(folder)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == (
        "rod: 2 joints, 0 mirrored pairs (training will not flip pictures); 3 people, 3 of them in "
        f"{folder / 'sheet.png'}"
    )
    assert len(np.unique(read_picture(folder / "sheet.png"))) > 20


def test_a_sheet_shows_pictures_that_lie_in_folders(folder: Path):
    (folder / "images").rename(folder / "train2017")
    result = run(folder)
    assert result.exit_code == 0, result.output
    assert "3 people, 3 of them in" in result.output
    assert len(np.unique(read_picture(folder / "sheet.png"))) > 20


def test_a_sheet_is_not_overwritten_unasked(folder: Path):
    run(folder)
    result = run(folder)
    assert result.exit_code == 1
    assert "is there already; --force would overwrite" in result.output
    assert run(folder, "--force").exit_code == 0


def test_what_is_odd_is_told(folder: Path):
    content = json.loads((folder / "labels.json").read_text())
    content["annotations"][0]["bbox"] = [0, 0, 0, 0]
    content["annotations"][1]["iscrowd"] = 1
    (folder / "labels.json").write_text(json.dumps(content))
    result = run(folder)
    assert "1 annotations have a 'bbox' without extent" in result.output
    assert "1 annotations are crowds" in result.output


def test_wrong_labels_end_in_a_line_and_the_sheet_is_there_to_look_at(folder: Path):
    content = json.loads((folder / "labels.json").read_text())
    for annotation in content["annotations"]:
        annotation["bbox"] = [1000, 1000, 30, 30]
        annotation["keypoints"] = [1005, 1005, 2, 1020, 1020, 2]
    (folder / "labels.json").write_text(json.dumps(content))
    result = run(folder)
    assert result.exit_code == 1
    assert "6 of 6 labelled joints lie outside of their pictures" in result.output
    assert (folder / "sheet.png").is_file()
