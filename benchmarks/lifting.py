"""How right lifting networks are, in one table each: held-out people, harder joints, real cameras.

`python -m benchmarks.lifting --data cmu.npz --models models/lifting`, where the folder holds files
of `tools.train_lifter`, `seed.npz` among them to compare with the seed's network and schedule.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from hourglass.console import PATH, command, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.core.pose import Pose
from hourglass.core.skeleton import Skeleton
from hourglass.lifting.body import ABOUT_PELVIS, BODY, SEEN, normalised, seen_joints
from hourglass.lifting.cameras import (
    Detector,
    fit_errors,
    person_size,
    random_detections,
    random_views,
)
from hourglass.lifting.estimator import Lifter
from hourglass.lifting.mocap import load_clips, split
from hourglass.lifting.runtimes import load_runtime
from hourglass.lifting.scores import (
    Score,
    format_scores,
    mean_pose,
    nearest_neighbour,
    p_mpjpe,
    score,
)

EVERY = 2
"""Held-out frames are scored at 15 a second."""

PERFECT = Detector(sigma=0, far=0, missing=0, cut=0)

HUMANEVA = (
    *("pelvis", "thorax", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder"),
    *("right_elbow", "right_wrist", "left_hip", "left_knee", "left_ankle", "right_hip"),
    *("right_knee", "right_ankle", "head_top"),
)
"""HumanEva's 15 joints in the order of VideoPose3D's file."""

MISSING, NOISE = (0, 2, 5), (0, 5, 10, 20)
"""Joints that are not there, and px of noise in a picture of 1000 px."""

TIMED_RUNS = 300

MOST_PEOPLE = 300
"""That the 2D network is run on."""

Lift = Callable[[np.ndarray, np.ndarray], np.ndarray]


@click.command()
@click.option("--data", type=PATH, multiple=True, required=True, help="File of tools.mocap.")
@click.option("--models", type=PATH, required=True, help="Folder of lifting networks, .npz.")
@click.option("--hold-out", multiple=True, metavar="SUBJECT", help="As it was trained.")
@click.option("--other", type=PATH, multiple=True, help="Other motion to score, whole.")
@click.option("--humaneva", type=PATH, help="HumanEva's poses and real projections, .npz.")
@click.option("--shards", metavar="GLOB", help="Labelled people: how the 2D network errs.")
@command
def main(
    data: tuple[Path, ...],
    models: Path,
    hold_out: tuple[str, ...],
    other: tuple[Path, ...],
    humaneva: Path | None,
    shards: str | None,
) -> None:
    """Scores every network of a folder, with the mean pose and the nearest neighbour beside."""
    files = sorted(models.glob("*.npz"))
    if not files:
        raise InputError(f"{models}: no lifting network in it, its name would end in .npz")
    lifters: dict[str, Lift] = {file.stem: Lifter(load_runtime(file)).lift for file in files}
    for file in files:
        mse = load_runtime(file).about.mse
        click.echo(f"{file.stem}: mse by epoch, m²: {' '.join(f'{one:.4f}' for one in mse)}")
    clips = [clip for path in data for clip in load_clips(path)]
    train, held = split(clips, hold_out)
    poses = np.concatenate([clip.points for clip in train])
    click.echo(f"\nheld out: {', '.join(sorted({clip.subject for clip in held}))}")
    points, actions = _of(held)
    for title, detector in (("true joints", PERFECT), ("a 2D network's joints", Detector())):
        click.echo(
            f"\n{title}, MPJPE / P-MPJPE, mm\n" + _table(points, actions, poses, lifters, detector)
        )
    click.echo("\nharder joints, P-MPJPE, mm\n" + _robustness(points, lifters))
    for path in other:
        points, actions = _of(load_clips(path))
        click.echo(
            f"\n{path.name}, true joints\n" + _table(points, actions, poses, lifters, PERFECT)
        )
    if humaneva:
        click.echo("\nHumanEva, real cameras, given 2D\n" + _real(humaneva, lifters))
    click.echo("\n" + _speed(files))
    if shards:
        click.echo("\n" + _errors(shards))


def _of(clips: list) -> tuple[np.ndarray, list[str]]:
    points = np.concatenate([clip.points[::EVERY] for clip in clips])
    return points, [clip.action for clip in clips for _ in clip.points[::EVERY]]


def _table(
    points: np.ndarray,
    actions: list[str],
    train: np.ndarray,
    lifters: dict[str, Lift],
    detector: Detector,
) -> str:
    """Every network and both baselines, on the same views."""
    rng = np.random.default_rng(1)
    body, pixels = random_views(rng, points)
    found, known = random_detections(rng, pixels, detector=detector)
    train_body, train_pixels = random_views(rng, train)
    train_found, train_known = random_detections(rng, train_pixels, detector=detector)
    targets, answers = body[:, ABOUT_PELVIS], train_body[:, ABOUT_PELVIS]
    shown = normalised(found, known, masked=True)
    nearest = nearest_neighbour(normalised(train_found, train_known, masked=True), answers, shown)
    predicted = {
        "mean pose": mean_pose(answers, len(points)),
        "nearest": nearest,
        **{name: lift(found, known)[:, ABOUT_PELVIS] for name, lift in lifters.items()},
    }
    scores: dict[str, Score] = {
        name: score(one, targets, actions) for name, one in predicted.items()
    }
    return format_scores(scores, [BODY.joints[joint] for joint in ABOUT_PELVIS])


def _robustness(points: np.ndarray, lifters: dict[str, Lift]) -> str:
    rng = np.random.default_rng(2)
    body, pixels = random_views(rng, points)
    found, known = random_detections(rng, pixels, detector=PERFECT)
    rows = []
    for missing in MISSING:
        hidden = known.copy()
        order = rng.permuted(np.tile(np.arange(len(SEEN)), (len(points), 1)), axis=1)
        np.put_along_axis(hidden, order[:, :missing], False, axis=1)
        rows.append((f"{missing} joints missing", found, hidden))
    for noise in NOISE:
        noisy = found + rng.normal(0, noise, found.shape).astype(np.float32)
        rows.append((f"noise {noise} px", noisy, known))
    lines = [f"{'':<18}" + "".join(f"{name:>12}" for name in lifters)]
    for title, seen, there in rows:
        errors = [
            p_mpjpe(lift(seen, there)[:, ABOUT_PELVIS], body[:, ABOUT_PELVIS])
            for lift in lifters.values()
        ]
        lines.append(f"{title:<18}" + "".join(f"{error:>12.1f}" for error in errors))
    return "\n".join(lines)


def _real(path: Path, lifters: dict[str, Lift]) -> str:
    """P-MPJPE by action on HumanEva's 15 joints, three real cameras."""
    skeleton = Skeleton.of_names("humaneva", HUMANEVA)
    sure = np.ones(len(HUMANEVA), np.float32)
    found, known, actual, actions = [], [], [], []
    with np.load(path) as stored:
        for name in (name for name in stored.files if name.endswith("/3d")):
            action = name.split("/")[2].split(" ")[0]
            for camera in range(3):
                pixels = stored[name.removesuffix("3d") + f"2d_camera{camera}"]
                seen = [
                    seen_joints(Pose(one, sure, skeleton, (0, 0, 1, 1)), min_score=0.5)
                    for one in pixels
                ]
                found += [one for one, _ in seen]
                known += [one for _, one in seen]
                actual.append(1000 * stored[name])
                actions += [action] * len(pixels)
    targets = np.concatenate(actual)
    columns = [BODY.index(name) for name in HUMANEVA]
    predicted = {
        name: lift(np.stack(found), np.stack(known))[:, columns] for name, lift in lifters.items()
    }
    scores = [score(one, targets, actions) for one in predicted.values()]
    lines = [f"{'P-MPJPE, mm':<16}" + "".join(f"{name:>12}" for name in predicted)]
    rows: list[tuple[str, list[float]]] = [("all", [one.p_mpjpe for one in scores])]
    for index, joint in enumerate(HUMANEVA):
        rows.append((joint, [one.per_joint_aligned[index] for one in scores]))
    for action in sorted(scores[0].per_action):
        rows.append((action, [one.per_action[action][1] for one in scores]))
    lines += [f"{title:<16}" + "".join(f"{x:>12.1f}" for x in errors) for title, errors in rows]
    return "\n".join(lines)


def _errors(shards: str) -> str:
    """How far the shipped 2D network's joints lie off on labelled people."""
    with quiet_stderr():
        from hourglass.data.people import load_people
        from hourglass.inference.estimator import PoseEstimator
        from hourglass.scoring.pictures import load_pictures
    people = load_people(shards)
    chosen = range(min(len(people), MOST_PEOPLE))
    with quiet_stderr():
        points, _ = PoseEstimator.load().predict_crops(
            load_pictures(shards, chosen), people.center[chosen], people.scale[chosen]
        )
    true, labelled = people.points[chosen], people.labelled[chosen]
    distances = np.linalg.norm(points - true, axis=-1) / person_size(true, labelled)[:, None]
    near, share, far = fit_errors(distances[labelled])
    return (
        f"2D network on {len(chosen)} people, in lengths of the person: usual error {near:.3f}, "
        f"far off {share:.3f} of the joints by {far:.3f}"
    )


def _speed(files: list[Path]) -> str:
    """Milliseconds for one person on one core, median."""
    with quiet_stderr():
        from hourglass.lifting.exporting import export_lifter
    lines = [f"{'ms for one person':<20}{'numpy':>9}{'LiteRT':>9}{'float16':>9}{'int8':>9}"]
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            times = [_milliseconds(file)]
            for quantize in (None, "float16", "int8"):
                export = Path(folder) / f"{file.stem}_{quantize}.tflite"
                with quiet_stderr():
                    export_lifter(file, export, "litert", quantize=quantize)
                    times.append(_milliseconds(export))
            lines.append(f"{file.stem:<20}" + "".join(f"{one:>9.3f}" for one in times))
    return "\n".join(lines)


def _milliseconds(path: Path) -> float:
    runtime = load_runtime(path)
    width = 3 if runtime.about.config.masked else 2
    person = np.ones((1, len(SEEN), width), np.float32)
    seconds = []
    for _ in range(TIMED_RUNS):
        began = time.perf_counter()
        runtime(person)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


if __name__ == "__main__":
    main()
