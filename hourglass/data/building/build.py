"""Builds TFRecord shards from annotations and pictures, in parallel with Ray.

Every shard is one task that gets its own people only, and decodes each picture once. What was built
is written down in `manifest.json` shard by shard, so that a later run does only what is missing or
different.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from loguru import logger

from hourglass.core import cluster
from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.files import TEMPORARY, publish, write_aside, write_error
from hourglass.core.locking import alone_in
from hourglass.core.person import Person
from hourglass.core.progress import Progress
from hourglass.core.skeleton import Skeleton, read_skeleton
from hourglass.core.storage import Place, Url, place
from hourglass.data.building.gathering import find_pictures, tell
from hourglass.data.building.manifest import (
    MANIFEST,
    Manifest,
    Shard,
    ignored_of,
    is_whole,
    read_manifest,
    write_manifest,
)
from hourglass.data.building.planning import MISSING, Recipe, picture_signatures, plan_shards
from hourglass.data.building.regions import REACH
from hourglass.data.building.shard_writer import Outcome, Plan, picture_path, write_shard
from hourglass.data.readers.labels import read_labels
from hourglass.data.readers.picture_folders import with_folders
from hourglass.data.records import SCHEMA_VERSION
from hourglass.data.shards import SUFFIX
from hourglass.media.pictures import read_bytes, to_jpeg

PROBE = "probe"
"""How the name of a file begins by which a folder is tried."""

OWN_FILES = re.compile(
    rf"(train|validation)_\d+_of_\d+{re.escape(SUFFIX)}(\.\d+{re.escape(TEMPORARY)})?"
    rf"|{re.escape(MANIFEST)}\.\d+{re.escape(TEMPORARY)}"
    rf"|{PROBE}{re.escape(TEMPORARY)}(\.\d+{re.escape(TEMPORARY)})?"
)
"""Names of shards and of what a killed run leaves; other files in the folder are not touched."""


PUBLISHERS = 8
"""Shards that may wait for the disk at a time."""


SECONDS_BETWEEN_UPLOADS = 10.0
"""Of the manifest, while shards go to a URL: of many shards it is large."""


@dataclass(frozen=True)
class Summary:
    """What a run did."""

    manifest: Manifest
    built: int
    kept: int
    left_out: int


def build(
    annotations: str | Place,
    images: str | Place | None = None,
    *,
    output: str | Place,
    format: str = "auto",  # noqa: A002 - what the option is called
    category: str | None = None,
    skeleton: Skeleton | str | Place | None = None,
    val_share: float | None = None,
    train_shards: int = 64,
    val_shards: int = 8,
    store: str = "whole",
    seed: int = 0,
    skip_bad: bool = False,
    force: bool = False,
    workers: int | None = None,
    ray_address: str | None = None,
) -> Summary:
    """Builds what is missing or different of the shards in `output`.

    Args:
        annotations: File or folder of labels, of any format in `data.readers.labels.FORMATS`; at a
            URL, it is copied to this machine first, and a folder with all that is in it.
        images: Folder of the pictures that they name; default: where they lie beside the labels.
            Frames of films are written there. Pictures at a URL are read by whoever needs them.
        output: Folder of the shards, or a URL; made if need be.
        format: The labels' format; `auto` finds out.
        category: Of a COCO or YOLO set: the one to read; default: all.
        skeleton: Takes the place of the one that the labels bring: itself, a built-in one's name,
            or a JSON file.
        val_share: Share of the pictures for validation, where the labels are not split already; 0
            for shards that are only trained on, beside others.
        train_shards: Number of training shards.
        val_shards: Number of validation shards.
        store: `whole` keeps pictures as they are; `crop` keeps what training can show of each
            person (`data.building.regions.REACH`), at full resolution, and moves labels along.
        seed: Decides which people share a shard, and which pictures are for validation.
        skip_bad: Go on without people whose pictures are bad; otherwise their shards are missing.
        force: Remove shards of other labels from `output`.
        workers: Processes; default: one per core.
        ray_address: A running Ray cluster, every machine of which sees the same folders; default:
            the Ray that the calling program has started, or else this machine alone.

    Raises:
        ValueError: If annotations or pictures are bad, nothing could be learnt from the labels, a
            folder cannot be read or written, or holds shards of other labels; names each.
    """
    annotations, output = place(annotations), place(output)
    copied = local_copy(annotations)
    labels = read_labels(
        copied,
        format=format,
        category=category,
        skeleton=_skeleton(skeleton),
        val_share=val_share,
        seed=seed,
    )
    images = find_pictures(labels, copied, None if images is None else place(images))
    if isinstance(images, Url) and not images.is_shared:
        images = local_copy(images)
    labels = with_folders(labels, images)
    people = labels.people
    recipe = Recipe(labels.skeleton, store, picture_signatures(images, people))
    _make_writable(output)
    counts = {"train": train_shards, "validation": val_shards}
    plans = [
        plan
        for split, group in people.items()
        for plan in plan_shards(split, group, counts[split], recipe, seed=seed)
    ]
    with alone_in(output, doing="a build") as require_alone:
        last = read_manifest(output)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            source=recipe.source_of([one for group in people.values() for one in group]),
            skeleton=labels.skeleton.to_dict(),
            annotations=str(annotations.resolve()),
            people={split: len(group) for split, group in people.items()},
            bad_pictures=_known_bad(images, recipe.signatures, last),
            shards={},
            reach=None if store == "whole" else REACH,
            ignored=ignored_of(labels.ignored, people.get("validation", ())),
        )
        _require_people(people, manifest.bad_pictures)
        manifest = replace(manifest, shards=_verified(output, plans, manifest.bad_pictures, last))
        todo = [plan for plan in plans if plan.name not in manifest.shards]
        if todo:
            tell(labels, images)
        if not force:
            _refuse_other_shards(output, manifest, last)
        with cluster.started(ray_address, workers) if todo else contextlib.nullcontext():
            _remove_others(output, manifest.shards)
            if manifest != last:
                write_manifest(output, manifest)
            manifest = _write_shards(output, images, manifest, todo, skip_bad, require_alone)
            _remove_others(output, manifest.shards)  # what workers left that were killed
        _report_bad(manifest.bad_pictures, skip_bad)
        _require_people(people, manifest.bad_pictures)
        return Summary(
            manifest=manifest,
            built=len(todo),
            kept=len(plans) - len(todo),
            left_out=sum(
                one.filename in manifest.bad_pictures for group in people.values() for one in group
            ),
        )


def _skeleton(given: Skeleton | str | Place | None) -> Skeleton | None:
    return given if given is None or isinstance(given, Skeleton) else read_skeleton(str(given))


def _refuse_other_shards(output: Place, manifest: Manifest, last: Manifest | None) -> None:
    """Keeps the shards of other labels, which would have to go."""
    others = [path for path in _finished(output) if path.name not in manifest.shards]
    if others and (last is None or last.annotations != manifest.annotations):
        origin = (
            f"made from {last.annotations}" if last else "of unknown labels or an older version"
        )
        raise InputError(
            f"{output}: holds {len(others)} shards {origin}, which would be removed; name another "
            "--output, or remove them with --force"
        )


def _make_writable(output: Place) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / f"{PROBE}{TEMPORARY}"
        publish(write_aside(probe, []), probe)
        probe.unlink(missing_ok=True)  # another build may have
    except OSError as error:
        raise write_error(output, error) from error


def _known_bad(images: Place, signatures: dict[str, str], last: Manifest | None) -> dict[str, str]:
    """The reason for each picture that is missing, or was bad in the last run and still is.

    It may have been mended without a change of its size and time.
    """
    before = last.bad_pictures if last else {}
    bad = {}
    for name, signature in sorted(signatures.items()):
        if signature == MISSING or name in before:
            try:
                path = picture_path(images, name)
                to_jpeg(read_bytes(path), where=path)
            except InputError as error:
                bad[name] = str(error)
    return bad


def _require_people(people: dict[str, list[Person]], bad: dict[str, str]) -> None:
    for split, group in people.items():
        if all(one.filename in bad for one in group):
            raise InputError(
                f"no {split} person is left to write, all of their pictures are bad; the first: "
                f"{bad[group[0].filename]}"
            )


def _verified(
    output: Place, plans: list[Plan], bad: dict[str, str], last: Manifest | None
) -> dict[str, Shard]:
    """The shards that are there as planned, without those with bad pictures, every byte read."""
    before = last.shards if last else {}

    def fits(plan: Plan) -> bool:
        shard = before.get(plan.name)
        if shard is None or shard.source != plan.source:
            return False
        good = sum(person.filename not in bad for person in plan.people)
        return shard.people == good and is_whole(shard, output)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        kept = pool.map(fits, plans)
    return {plan.name: before[plan.name] for plan, fit in zip(plans, kept, strict=True) if fit}


def _remove_others(output: Place, kept: dict[str, Shard]) -> None:
    """Shards of another plan, and what a killed run left, must not be taken for this one's."""
    for path in output.iterdir():
        if OWN_FILES.fullmatch(path.name) and path.name not in kept:
            path.unlink()


def _finished(output: Place) -> list[Place]:
    """Shards under their own names, whoever made them."""
    return [
        path
        for path in output.iterdir()
        if OWN_FILES.fullmatch(path.name) and path.suffix != TEMPORARY
    ]


def _report_bad(bad: dict[str, str], skip_bad: bool) -> None:
    for reason in bad.values():
        logger.error(reason)
    if bad and not skip_bad:
        raise InputError(
            f"{len(bad)} bad pictures, named above; mend them, or leave their people out with "
            "--skip-bad"
        )


def _write_shards(
    output: Place,
    images: Place,
    manifest: Manifest,
    plans: list[Plan],
    skip_bad: bool,
    require_alone: Callable[[], None],
) -> Manifest:
    """The manifest with what came of the plans; the longest are begun first, so that all workers
    end at about the same time."""
    if not plans:
        return manifest
    longest_first = sorted(plans, key=lambda plan: -len(plan.people))
    tasks = [(output, images, plan, skip_bad) for plan in longest_first]
    written = time.monotonic()
    with (
        Progress("writing shards", total=len(plans), unit="shards") as progress,
        ThreadPoolExecutor(PUBLISHERS) as pool,
    ):
        nodes = cluster.Nodes()
        for outcomes in cluster.in_parallel(write_shard, tasks):
            require_alone()
            failures = list(pool.map(partial(_publish, output), outcomes))
            manifest = _with_outcomes(manifest, outcomes, failures)
            waited = time.monotonic() - written > SECONDS_BETWEEN_UPLOADS
            if waited or any(failures) or not isinstance(output, Url):
                write_manifest(output, manifest, for_now=True)
                written = time.monotonic()
            if any(failures):
                raise InputError(next(filter(None, failures)))
            progress.advance(len(outcomes), note=nodes.look())
    write_manifest(output, manifest)
    return manifest


def _with_outcomes(manifest: Manifest, outcomes: list[Outcome], failures: list[str]) -> Manifest:
    """The manifest with the shards that were published, and the bad pictures that were found."""
    shards, bad = dict(manifest.shards), dict(manifest.bad_pictures)
    for outcome, failure in zip(outcomes, failures, strict=True):
        bad |= outcome.bad_pictures
        if outcome.shard and not failure:
            shards[outcome.shard.name] = outcome.shard
    return replace(
        manifest, shards=dict(sorted(shards.items())), bad_pictures=dict(sorted(bad.items()))
    )


def _publish(output: Place, outcome: Outcome) -> str:
    """Gives a whole shard its name, or says why there is none; to be called side by side, as the
    disk makes each wait."""
    if outcome.shard and outcome.path:
        try:
            publish(outcome.path, output / outcome.shard.name)
        except OSError as error:
            return str(write_error(output / outcome.shard.name, error))
    return outcome.failure
