"""Builds TFRecord shards from annotations and pictures, in parallel with Ray.

Every shard is one Ray task that gets its own people only. What was built is written down in
`manifest.json` shard by shard, so that a later run does only what is missing or different.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import numpy as np
from loguru import logger

from hourglass.console import Progress, command
from hourglass.pictures import read_bytes, to_jpeg
from hourglass.records import SCHEMA_VERSION, Person, frame, to_example
from hourglass.shards import SUFFIX, shard_name
from tools.mpii import find_annotations, read_people

MANIFEST = "manifest.json"
TEMPORARY = ".partial"
OWN_FILES = re.compile(
    rf"(train|validation)_\d+_of_\d+{re.escape(SUFFIX)}(\.\d+{re.escape(TEMPORARY)})?"
    rf"|{re.escape(MANIFEST)}\.\d+{re.escape(TEMPORARY)}"
)
"""Names of shards and of what a killed run leaves; other files in the folder are not touched."""

PICTURES_PER_CHECK = 64
READ_SIZE = 2**20
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Shard:
    """What a finished shard is: an entry of the manifest.

    Attributes:
        name: File name.
        people: Number of records.
        size: Bytes.
        checksum: SHA-256 of the file, hexadecimal.
        source: SHA-256 of what the shard was made from.
    """

    name: str
    people: int
    size: int
    checksum: str
    source: str


@dataclass(frozen=True)
class Manifest:
    """What an output folder holds.

    Attributes:
        schema_version: `records.SCHEMA_VERSION` of all shards.
        source: SHA-256 over the annotations and the pictures' sizes and times.
        people: Number of people that the annotations hold, per split.
        bad_pictures: Reason for each picture that cannot be used.
        shards: Finished shards by name.
    """

    schema_version: int
    source: str
    people: dict[str, int]
    bad_pictures: dict[str, str]
    shards: dict[str, Shard]


@dataclass(frozen=True)
class Plan:
    """One shard to be: its name, its people, and the hash of both and of their pictures."""

    name: str
    people: list[Person]
    source: str


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    manifest: Manifest
    built: int
    kept: int
    left_out: int


def build(
    annotations: Path,
    images: Path,
    *,
    output: Path,
    train_shards: int = 64,
    val_shards: int = 8,
    seed: int = 0,
    skip_bad: bool = False,
    ray_address: str | None = None,
) -> Summary:
    """Builds what is missing or different of the shards in `output`.

    Args:
        annotations: Folder of train.json and validation.json (or valid.json).
        images: Folder of the pictures that they name.
        output: Folder of the shards; made if need be.
        train_shards: Number of training shards.
        val_shards: Number of validation shards.
        seed: Decides which people share a shard.
        skip_bad: Go on without people whose pictures are bad.
        ray_address: A running Ray cluster, every machine of which sees the same folders; default:
            this machine alone.

    Raises:
        ValueError: If annotations or pictures are bad, or a folder cannot be read or written; names
            each.
    """
    people = {split: read_people(path) for split, path in find_annotations(annotations).items()}
    signatures = _picture_signatures(images, people)
    _make_writable(output)
    with _ray(ray_address):
        manifest = _begin(output, images, people, signatures)
        _report_bad(manifest.bad_pictures, skip_bad)
        good = {
            split: [one for one in group if one.filename not in manifest.bad_pictures]
            for split, group in people.items()
        }
        counts = {"train": train_shards, "validation": val_shards}
        plans = [
            plan
            for split in people
            for plan in _plan(split, good[split], counts[split], seed, signatures)
        ]
        kept = _verified(output, manifest, plans)
        manifest = replace(manifest, shards=kept)
        _remove_others(output, kept)
        todo = [plan for plan in plans if plan.name not in kept]
        manifest = _write_shards(output, images, manifest, todo)
    return Summary(
        manifest=manifest,
        built=len(todo),
        kept=len(kept),
        left_out=sum(map(len, people.values())) - sum(map(len, good.values())),
    )


def _make_writable(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / f"probe{TEMPORARY}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"{output}: cannot be written ({error.strerror})") from error


def _picture_signatures(images: Path, people: dict[str, list[Person]]) -> dict[str, str]:
    """Size and time of every picture: cheap to read, and different once a picture changes."""
    if not images.is_dir():
        raise ValueError(f"{images}: no such folder of pictures")
    signatures = {}
    for person in (one for group in people.values() for one in group):
        if person.filename not in signatures:
            try:
                status = (images / person.filename).stat()
                signatures[person.filename] = f"{status.st_size} {status.st_mtime_ns}"
            except OSError:
                signatures[person.filename] = "missing"
    return signatures


def _source_hash(people: Iterable[Person], signatures: dict[str, str]) -> str:
    digest = hashlib.sha256(f"schema {SCHEMA_VERSION}".encode())
    for person in people:
        digest.update(f"{person.filename}\n{signatures[person.filename]}\n".encode())
        digest.update(person.points.tobytes() + person.labelled.tobytes())
        digest.update(person.center.tobytes() + np.float64(person.scale).tobytes())
    return digest.hexdigest()


def _begin(
    output: Path, images: Path, people: dict[str, list[Person]], signatures: dict[str, str]
) -> Manifest:
    """The manifest to go on from: the last run's if its source is the same, else a new one.

    Finished shards are taken over either way; whether they still fit is decided for each.
    """
    source = _source_hash((one for group in people.values() for one in group), signatures)
    last = _read_manifest(output / MANIFEST)
    if last and last.source == source:
        # A picture may have been mended without a change of its size and time.
        bad = _check_pictures(images, sorted(last.bad_pictures)) if last.bad_pictures else {}
        manifest = replace(last, bad_pictures=bad)
        if manifest != last:
            _write_manifest(output, manifest)
        return manifest
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        source=source,
        people={split: len(group) for split, group in people.items()},
        bad_pictures=_check_pictures(images, sorted(signatures)),
        shards=last.shards if last else {},
    )
    _write_manifest(output, manifest)
    return manifest


def _read_manifest(path: Path) -> Manifest | None:
    """The manifest, or None where there is none that this version can use."""
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["shards"] = {
            name: Shard(name=name, **entry) for name, entry in values["shards"].items()
        }
        manifest = Manifest(**values)
    except (ValueError, TypeError, KeyError, AttributeError):
        logger.warning(f"{path}: not a manifest of this version, every shard is built again")
        return None
    return manifest if manifest.schema_version == SCHEMA_VERSION else None


def _write_manifest(output: Path, manifest: Manifest) -> None:
    values = asdict(manifest)
    for entry in values["shards"].values():
        del entry["name"]
    _write_whole(output / MANIFEST, [(json.dumps(values, indent=1) + "\n").encode()])


def _write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Writes a file that appears under its name only when it is whole and on the disk."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _plan(
    split: str, people: list[Person], shards: int, seed: int, signatures: dict[str, str]
) -> list[Plan]:
    """Shuffles the people and deals them out to shards of equal size ±1."""
    if not people:
        raise ValueError(f"no {split} person is left to write")
    if shards > len(people):
        logger.warning(f"{shards} {split} shards for {len(people)} people: making {len(people)}")
        shards = len(people)
    order = np.random.default_rng(seed).permutation(len(people))
    plans = []
    for number, members in enumerate(np.array_split(order, shards), start=1):
        chosen = [people[index] for index in members]
        name = shard_name(split, number, shards)
        plans.append(Plan(name, chosen, _source_hash(chosen, signatures)))
    return plans


def _verified(output: Path, manifest: Manifest, plans: list[Plan]) -> dict[str, Shard]:
    """The shards that are there as planned, every byte of them read."""

    def is_whole(plan: Plan) -> bool:
        shard, path = manifest.shards.get(plan.name), output / plan.name
        if shard is None or shard.source != plan.source or not path.is_file():
            return False
        if path.stat().st_size != shard.size:
            return False
        return _checksum(path) == shard.checksum

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        whole = pool.map(is_whole, plans)
    return {
        plan.name: manifest.shards[plan.name]
        for plan, fits in zip(plans, whole, strict=True)
        if fits
    }


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(READ_SIZE):
            digest.update(chunk)
    return digest.hexdigest()


def _remove_others(output: Path, kept: dict[str, Shard]) -> None:
    """Shards of another plan, and what a killed run left, must not be taken for this one's."""
    for path in output.iterdir():
        if OWN_FILES.fullmatch(path.name) and path.name not in kept:
            path.unlink()


def _report_bad(bad: dict[str, str], skip_bad: bool) -> None:
    for reason in bad.values():
        logger.error(reason)
    if bad and not skip_bad:
        raise ValueError(
            f"{len(bad)} bad pictures, named above; mend them, or leave their people out with "
            "--skip-bad"
        )


def _ray(address: str | None) -> Any:
    """Ray as a context: this machine's cores, or a running cluster."""
    # Ray reads these when it is imported or starts.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address:
            _require_answer(address)
            return ray.init(address=address, **quiet)
        return ray.init(
            address="local", include_dashboard=False, object_store_memory=256 * 2**20, **quiet
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(f"no Ray cluster answers at {address or 'local'!r} ({error})") from error


def _require_answer(address: str) -> None:
    """Fails at once where nobody listens; Ray itself would go on trying for minutes.

    Raises:
        ConnectionError: If nobody does.
        ValueError: If the address has a port that is no number.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname and parts.port:
        try:
            socket.create_connection((parts.hostname, parts.port), CONNECT_SECONDS).close()
        except OSError as error:
            raise ConnectionError(str(error)) from error


def _check_pictures(images: Path, names: list[str]) -> dict[str, str]:
    """Decodes every picture to its end; the reason for each that cannot be used."""
    slices = [
        names[start : start + PICTURES_PER_CHECK]
        for start in range(0, len(names), PICTURES_PER_CHECK)
    ]
    bad: dict[str, str] = {}
    with Progress("checking pictures", total=len(names), unit="pictures") as progress:
        for index, reasons in _in_parallel(_check_slice, [(images, group) for group in slices]):
            bad |= reasons
            progress.advance(len(slices[index]))
    return dict(sorted(bad.items()))


def _check_slice(images: Path, names: list[str]) -> dict[str, str]:
    bad = {}
    for name in names:
        try:
            to_jpeg(read_bytes(images / name), where=str(images / name))
        except ValueError as error:
            bad[name] = str(error)
    return bad


def _write_shards(output: Path, images: Path, manifest: Manifest, plans: list[Plan]) -> Manifest:
    tasks = [(output, images, plan) for plan in plans]
    with Progress("writing shards", total=len(plans), unit="shards") as progress:
        for _, shard in _in_parallel(_write_shard, tasks):
            if isinstance(shard, str):
                raise ValueError(shard)
            shards = dict(sorted({**manifest.shards, shard.name: shard}.items()))
            manifest = replace(manifest, shards=shards)
            _write_manifest(output, manifest)
            progress.advance()
    return manifest


def _write_shard(output: Path, images: Path, plan: Plan) -> Shard | str:
    """Writes one shard, a record at a time; a string is the reason why it could not."""
    digest = hashlib.sha256()
    size = 0

    def records() -> Iterator[bytes]:
        nonlocal size
        for person in plan.people:
            path = images / person.filename
            picture = to_jpeg(read_bytes(path), where=str(path))
            record = frame(
                to_example(
                    person, encoded=picture.encoded, height=picture.height, width=picture.width
                )
            )
            digest.update(record)
            size += len(record)
            yield record

    try:
        _write_whole(output / plan.name, records())
    except OSError as error:
        return f"{output / plan.name}: cannot be written ({error.strerror})"
    except ValueError as error:
        return str(error)
    return Shard(plan.name, len(plan.people), size, digest.hexdigest(), plan.source)


def _in_parallel(function: Any, tasks: list[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
    """Runs one Ray task per entry; yields index and result as they finish."""
    import ray

    remote = ray.remote(function)
    pending = {remote.remote(*arguments): index for index, arguments in enumerate(tasks)}
    while pending:
        done, _ = ray.wait(list(pending), num_returns=1)
        for reference in done:
            yield pending.pop(reference), ray.get(reference)


@click.command()
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    default=Path("data/mpii/annotations"),
    show_default=True,
    help="Folder of train.json and validation.json (or valid.json).",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    default=Path("data/mpii/images"),
    show_default=True,
    help="Folder of the pictures.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("tfrecords"),
    show_default=True,
    help="Folder of the shards.",
)
@click.option(
    "--train-shards",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Number of training shards.",
)
@click.option(
    "--val-shards",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of validation shards.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed that deals people out to shards.",
)
@click.option("--skip-bad", is_flag=True, help="Leave people with bad pictures out and go on.")
@click.option("--ray-address", help="Address of a running Ray cluster. [default: this machine]")
@command
def main(**options: Any) -> None:
    """Turns annotations in MPII's JSON layout and their pictures into TFRecord shards."""
    summary = build(options.pop("annotations"), options.pop("images"), **options)
    shards = summary.manifest.shards.values()
    click.echo(
        f"{sum(shard.people for shard in shards)} people in {len(shards)} shards "
        f"({summary.built} built, {summary.kept} kept), "
        f"{sum(shard.size for shard in shards) / 1e6:.1f} MB in {options['output']}; "
        f"{summary.left_out} people left out"
    )


if __name__ == "__main__":
    main()
