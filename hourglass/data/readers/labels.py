"""Labels of any format: finds out which it is, and reads both splits.

`read_labels` is what the builder and the tools call; each format's own reader stands beside it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml

from hourglass.core.errors import InputError
from hourglass.core.skeleton import MPII, Skeleton
from hourglass.data.readers import coco, mpii_json, mpii_mat, sleap, yolo
from hourglass.data.readers.label_set import WHOLE, Labels, joined, split_by_picture

FORMATS = ("auto", "mpii", "mpii-mat", "coco", "yolo", "sleap")
"""`auto` looks at names and first bytes."""

SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val")}
"""What the name of a split's file holds; the first that fits is taken."""

HEAD = 4096
"""Bytes of a JSON file that tell its layout."""


def read_labels(
    path: Path,
    *,
    format: str = "auto",  # noqa: A002 - what the option is called
    category: str | None = None,
    skeleton: Skeleton | None = None,
    val_share: float | None = None,
    seed: int = 0,
) -> Labels:
    """All labels of a set, split into training and validation.

    Args:
        path: A folder of two files, one for each split, or a file (or folder of one) that holds
            both or is to be split.
        format: One of `FORMATS`.
        category: Of a COCO or YOLO set: the one to read.
        skeleton: Takes the place of the one that the labels bring.
        val_share: Share of the pictures for validation, below 1, where the labels are not split
            already; 0 for none.
        seed: Decides which pictures those are.

    Returns:
        People of `train` and `validation`; of `train` alone if `val_share` is 0.

    Raises:
        ValueError: If the labels cannot be found, told apart or read, or are not split and
            `val_share` is not given.
    """
    if val_share is not None and not 0 <= val_share < 1:
        raise InputError(f"--val-share is {val_share:g}, it must be 0 or more, and below 1")
    labels = read_unsplit(path, kind=format, category=category, skeleton=skeleton)
    if WHOLE not in labels.people:
        if val_share is not None:
            raise InputError(
                f"{path}: is split into training and validation already: leave out --val-share"
            )
        return labels
    if val_share is None:
        raise InputError(
            f"{path}: holds no validation part (as validation.json or valid.json would be): "
            "--val-share 0.1 takes a tenth of the pictures for it, --val-share 0 none"
        )
    if not val_share:
        return replace(labels, people={"train": labels.people[WHOLE]})
    return split_by_picture(labels, share=val_share, seed=seed)


def read_unsplit(
    path: Path,
    *,
    kind: str = "auto",
    category: str | None = None,
    skeleton: Skeleton | None = None,
) -> Labels:
    """As `read_labels`, but one part, `WHOLE`, of labels that are not split already."""
    if kind not in FORMATS:
        raise InputError(f"format is {kind!r}, it must be one of {', '.join(FORMATS)}")
    files = find_files(path, kind=kind)
    parts = {
        split: _read(file, found, category=category, skeleton=skeleton)
        for split, (found, file) in files.items()
    }
    for split, part in parts.items():
        if split != WHOLE and WHOLE not in part.people:
            raise InputError(
                f"{files[split][1]}: is split into training and validation already, and so cannot "
                f"be the {split} part of {path}; name one file"
            )
    labels = joined(parts) if len(parts) > 1 else parts[WHOLE]
    for split, people in labels.people.items():
        if not people:
            raise InputError(
                " ".join([f"{path}: {split}: nobody has labels that can be used.", *labels.notes])
            )
    return labels


def _read(
    path: Path, kind: str, *, category: str | None = None, skeleton: Skeleton | None = None
) -> Labels:
    """The labels of one file whose format is known."""
    if category is not None and kind not in ("coco", "yolo"):
        raise InputError(f"{path}: labels of format {kind} have no categories")
    if kind == "coco":
        return coco.read(path, category=category, skeleton=skeleton)
    if kind == "yolo":
        return yolo.read(path, category=category, skeleton=skeleton)
    if kind == "sleap":
        return sleap.read(path, skeleton=skeleton)
    if skeleton not in (None, MPII):
        raise InputError(f"{path}: labels of format {kind} have MPII's 16 joints and no others")
    if kind == "mpii-mat":
        return mpii_mat.read(path)
    return mpii_json.read(path)


def find_files(path: Path, *, kind: str = "auto") -> dict[str, tuple[str, Path]]:
    """Format and file by split; `WHOLE` for a file that holds everything.

    Raises:
        ValueError: If there are none, or which ones are meant cannot be told.
    """
    if path.is_dir():
        return _find_in_folder(path, kind)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder of annotations")
    return {WHOLE: (_kind_of(path) if kind == "auto" else kind, path)}


def _find_in_folder(folder: Path, kind: str) -> dict[str, tuple[str, Path]]:
    candidates = [
        file
        for file in sorted(folder.iterdir())
        if not file.name.startswith(".") and file.is_file() and _may_be(file, kind)
    ]
    if not candidates and (folder / "annotations").is_dir():
        return _find_in_folder(folder / "annotations", kind)
    if not candidates:
        raise InputError(
            f"{folder}: holds no annotations: train.json and validation.json (or valid.json), "
            "MPII's .mat, COCO's .json, YOLO's data.yaml, or .slp"
        )
    # COCO's folder holds captions and instances, too; YOLO's and DeepLabCut's folders lists.
    for preferred in ("data.yaml", "config.yaml", "keypoints"):
        candidates = [file for file in candidates if preferred in file.name] or candidates
    split = _by_split(candidates)
    if split:
        return {
            name: (_kind_of(file) if kind == "auto" else kind, file) for name, file in split.items()
        }
    if len(candidates) == 1:
        (file,) = candidates
        return {WHOLE: (_kind_of(file) if kind == "auto" else kind, file)}
    names = ", ".join(file.name for file in candidates)
    raise InputError(
        f"{folder}: which of these to read cannot be told: {names}; name one file, or call two of "
        "one kind train and validation"
    )


def _may_be(file: Path, kind: str) -> bool:
    """Whether a file's name fits the format, or with `auto` any."""
    endings = {
        "mpii": (".json",),
        "mpii-mat": (".mat",),
        "coco": (".json",),
        "yolo": (".yaml", ".yml"),
        "sleap": (*sleap.SUFFIXES, ".yaml", ".json"),
    }
    fitting = {ending for one in endings if kind in ("auto", one) for ending in endings[one]}
    if file.suffix.lower() not in fitting:
        return False
    if file.suffix.lower() in (".yaml", ".yml"):
        return _yaml_kind(file) is not None
    return True


def _by_split(files: list[Path]) -> dict[str, Path]:
    """The file of each split, by their names; none if not exactly one fits each."""
    found = {}
    for split, names in SPLIT_NAMES.items():
        exact = [file for name in names for file in files if file.stem == name]
        holding = [file for file in files if any(name in file.stem.lower() for name in names)]
        fitting = exact[:1] or holding
        if len(fitting) != 1:
            return {}
        found[split] = fitting[0]
    return found


def _kind_of(file: Path) -> str:
    """The format of a file, by its ending and its first bytes.

    Raises:
        ValueError: If it is none that is read.
    """
    suffix = file.suffix.lower()
    if suffix == ".mat":
        return "mpii-mat"
    if suffix in sleap.SUFFIXES:
        return "sleap"
    if suffix in (".yaml", ".yml"):
        kind = _yaml_kind(file)
        if kind is None:
            raise InputError(f"{file}: has neither YOLO's 'kpt_shape' nor DeepLabCut's 'bodyparts'")
        return kind
    if suffix == ".json":
        return _json_kind(file)
    raise InputError(
        f"{file}: annotations end in .json, .mat, .yaml, {', '.join(sleap.SUFFIXES)}; "
        "or say which they are with --format"
    )


def _yaml_kind(file: Path) -> str | None:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return "yolo" if file.name == "data.yaml" else None  # whose reader says what is wrong
    if not isinstance(content, dict):
        return None
    if "bodyparts" in content:
        return "sleap"
    return "yolo" if "kpt_shape" in content or file.name == "data.yaml" else None


def _json_kind(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD).decode("utf-8-sig", errors="replace").lstrip()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    if head.startswith("[") and '"data"' in head and '"annotations"' in head:
        raise InputError(
            f"{file}: seems to be Label Studio's JSON, which is not read; export the project as "
            "COCO or YOLO with keypoints (docs/OWN_DATA.md)"
        )
    return "coco" if head.startswith("{") else "mpii"
