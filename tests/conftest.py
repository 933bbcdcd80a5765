"""What several test files share; TensorFlow is imported only by the fixtures that need it."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hourglass.core.calibration import PLAIN, Calibration
from hourglass.core.cluster import OBJECT_STORE
from hourglass.core.config import Config, NetworkConfig, TrainConfig
from hourglass.core.person import NOT_LABELLED, VISIBLE, Person
from hourglass.core.skeleton import MPII
from hourglass.core.storage import Url
from hourglass.data.records import frame, to_example
from hourglass.data.shards import shard_name

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Ray ends tasks where the machine's memory is short, whoever takes it.
os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in its background so, and the tests of Ctrl-C would wait in vain.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _no_line_by_the_clock() -> Iterator[None]:
    """Work that takes long on a busy machine logs no lines that a test does not expect."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hourglass.core.progress.SECONDS_BETWEEN_LINES", float("inf"))
        yield


@pytest.fixture(scope="session")
def both_ways() -> Callable[..., Any]:
    """Runs a function eagerly and inside `Dataset.map`; both must give the same.

    `both_ways(function, *arguments)` returns the eager result with numpy arrays for tensors.
    """
    import tensorflow as tf

    def run(function: Callable[..., Any], *arguments: Any) -> Any:
        tensors = tuple(tf.convert_to_tensor(argument) for argument in arguments)
        eager = tf.nest.map_structure(lambda tensor: tensor.numpy(), function(*tensors))
        mapped = next(tf.data.Dataset.from_tensors(tensors).map(function).as_numpy_iterator())
        tf.nest.assert_same_structure(eager, mapped)
        for one, other in zip(tf.nest.flatten(eager), tf.nest.flatten(mapped), strict=True):
            if np.issubdtype(np.asarray(one).dtype, np.floating):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(one, other)
            assert np.asarray(one).dtype == np.asarray(other).dtype
        return eager

    return run


@pytest.fixture(scope="session")
def make_person() -> Callable[..., Person]:
    """Makes the same person for the same number; every third joint is not labelled."""

    def make(number: int = 0, **changes: Any) -> Person:
        rng = np.random.default_rng(number)
        labelled = np.arange(len(MPII.joints)) % 3 != number % 3
        points = rng.uniform(0, 300, (len(MPII.joints), 2)).astype(np.float32)
        points[~labelled] = -1
        fields = {
            "filename": f"person_{number}.jpg",
            "points": points,
            "visibility": np.where(labelled, VISIBLE, NOT_LABELLED).astype(np.uint8),
            "center": rng.uniform(100, 200, 2).astype(np.float32),
            "scale": float(np.float32(rng.uniform(0.5, 3))),
        }
        return Person(**{**fields, **changes})

    return make


# Files at URLs.


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server on this machine, with an empty bucket `bucket`."""
    server_of = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def url_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this test's copies of files at URLs."""
    monkeypatch.setenv("HOURGLASS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("hourglass.core.leases.SETTLING", 0.0)  # nobody else is there
    return tmp_path / "cache"


@pytest.fixture
def s3(s3_endpoint: str, url_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Url]:
    """An empty folder on the S3 server."""
    import s3fs

    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-so-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_endpoint,
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdirs("bucket", exist_ok=True)
    yield Url(f"s3://bucket/{uuid.uuid4().hex}")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def memory(url_cache: Path) -> Url:
    """An empty folder in fsspec's memory."""
    return Url(f"memory://bucket/{uuid.uuid4().hex}")


@pytest.fixture(params=["memory", "s3"])
def elsewhere(request: pytest.FixtureRequest) -> Url:
    """An empty folder at a URL, of each kind that needs no network."""
    return request.getfixturevalue(request.param)


# Pictures of coloured dots, in which a runtime without a network finds every joint.


DOTTED_SIZE = (96, 88)
"""Width and height of a dotted picture, px."""

DOT_RADIUS = 3.0

DOT_COLOURS = {
    "ankle": (255, 0, 0),
    "knee": (0, 255, 0),
    "hip": (0, 0, 255),
    "wrist": (255, 255, 0),
    "elbow": (255, 0, 255),
    "shoulder": (0, 255, 255),
    "pelvis": (255, 255, 255),
    "thorax": (0, 0, 0),
    "upper_neck": (255, 128, 0),
    "head_top": (0, 128, 255),
}
"""Left and right share a colour: only their places tell them apart, as in a photograph."""

RIGHT_PLACES = [(x, y) for y in (12, 34, 54, 76) for x in (14, 36)]


def joint_colour(joint: str) -> tuple[int, int, int]:
    return DOT_COLOURS[joint.removeprefix("right_").removeprefix("left_")]


def place_joints(rng: np.random.Generator) -> np.ndarray:
    """Every joint near a place of its own; right joints in the left half: the person faces us."""
    places = np.array(RIGHT_PLACES, float)
    mirrored = [DOTTED_SIZE[0], 0] + places * [-1, 1]
    points = np.zeros((len(MPII.joints), 2))
    for place, (right, left) in enumerate(MPII.mirror_pairs):
        points[right], points[left] = places[place], mirrored[place]
    for place, joints in ((6, (6, 8)), (7, (7, 9))):
        points[joints[0]], points[joints[1]] = places[place], mirrored[place]
    return (points + rng.uniform(-2.5, 2.5, points.shape)).astype(np.float32)


@pytest.fixture(scope="session")
def draw_dots() -> Callable[..., np.ndarray]:
    """`draw_dots(points, labelled, size)`: grey with a dot per labelled joint; (width, height)."""

    def draw(
        points: np.ndarray, labelled: np.ndarray, size: tuple[int, int] = DOTTED_SIZE
    ) -> np.ndarray:
        x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
        picture = np.full((size[1], size[0], 3), 128.0)
        for joint in np.flatnonzero(labelled):
            away = np.hypot(x - points[joint, 0], y - points[joint, 1])[..., None]
            share = np.clip(DOT_RADIUS + 0.5 - away, 0, 1)
            picture += share * (np.array(joint_colour(MPII.joints[joint])) - picture)
        return picture.round().astype(np.uint8)

    return draw


@pytest.fixture(scope="session")
def dotted_person(
    draw_dots: Callable[..., np.ndarray],
) -> Callable[..., tuple[Person, np.ndarray]]:
    """The same person and picture for the same number; two joints are not labelled."""

    def make(number: int = 0, **changes: Any) -> tuple[Person, np.ndarray]:
        rng = np.random.default_rng([7, number])
        points = place_joints(rng)
        labelled = np.ones(len(MPII.joints), bool)
        labelled[rng.choice(len(MPII.joints), 2, replace=False)] = False
        points[~labelled] = -1
        fields = {
            "filename": f"dots_{number:04d}.jpg",
            "points": points,
            "visibility": np.where(labelled, VISIBLE, NOT_LABELLED).astype(np.uint8),
            "center": (np.array([48, 44]) + rng.uniform(-2, 2, 2)).astype(np.float32),
            "scale": float(np.float32(rng.uniform(0.37, 0.43))),
        }
        person = Person(**{**fields, **changes})
        return person, draw_dots(person.points, person.labelled)

    return make


class DotFinder:
    """A runtime that finds dots, and tells left from right by the half of the crop they are in."""

    def __init__(self, *, input_size: int = 256) -> None:
        self.config = Config(NetworkConfig(stacks=1, channels=8, depth=1, input_size=input_size))
        self.calibrations: dict[str, Calibration] = {}

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        return np.stack([self._heatmaps(image.astype(np.float32)) for image in images])

    def _heatmaps(self, image: np.ndarray) -> np.ndarray:
        size = self.config.network.heatmap_size
        maps = np.zeros((size, size, len(MPII.joints)), np.float32)
        pixels = np.arange(image.shape[1])
        middle = (image.shape[1] - 1) / 2
        for joint, name in enumerate(MPII.joints):
            away = np.linalg.norm(image - joint_colour(name), axis=-1)
            weight = np.clip(1 - away / 60, 0, 1)
            if name.startswith("right"):
                weight = weight * (pixels < middle)
            if name.startswith("left"):
                weight = weight * (pixels > middle)
            if weight.sum() > 5:
                x, y = weight.sum(axis=0) @ pixels, weight.sum(axis=1) @ pixels
                column, row = (np.array([x, y]) / weight.sum() + 0.5) / 4 - 0.5
                along = np.arange(size)
                maps[..., joint] = np.exp(-0.5 * (along[:, None] - row) ** 2) * np.exp(
                    -0.5 * (along - column) ** 2
                )
        return maps


@pytest.fixture(scope="session")
def dot_finder() -> DotFinder:
    return DotFinder()


@pytest.fixture(scope="session")
def to_jpeg_bytes() -> Callable[[np.ndarray], bytes]:
    """A picture as a JPEG that is as near to it as a JPEG can be."""

    def encode(picture: np.ndarray) -> bytes:
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "JPEG", quality=100, subsampling=0)
        return out.getvalue()

    return encode


@pytest.fixture(scope="session")
def write_shards(
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
) -> Callable[..., list[Person]]:
    """`write_shards(folder, split, sizes, first=0)` writes dotted people, and returns them.

    `sizes` has the number of people of each shard; person i of the split is number `first + i`.
    """

    def write(folder: Path, split: str, sizes: Sequence[int], first: int = 0) -> list[Person]:
        folder.mkdir(parents=True, exist_ok=True)
        people = []
        for number, size in enumerate(sizes, start=1):
            with (folder / shard_name(split, number, len(sizes))).open("wb") as file:
                for _ in range(size):
                    person, picture = dotted_person(first + len(people))
                    height, width = picture.shape[:2]
                    encoded = to_jpeg_bytes(picture)
                    file.write(
                        frame(to_example(person, encoded=encoded, height=height, width=width))
                    )
                    people.append(person)
        return people

    return write


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory, write_shards: Callable[..., Any]) -> Path:
    """A folder of 13 people to train on and 9 to validate, two shards each; not to be changed."""
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, "train", [7, 6])
    write_shards(folder, "validation", [5, 4], first=100)
    return folder


@pytest.fixture(scope="session")
def micro_config() -> Config:
    """The smallest configuration with everything in it: three batches of four people an epoch."""
    return Config(
        NetworkConfig(stacks=2, channels=8, depth=1, input_size=32),
        train=TrainConfig(epochs=3, batch_size=4, learning_rate=3e-3, precision="float32", seed=5),
    )


@contextlib.contextmanager
def without_graph_optimizer() -> Iterator[None]:
    """TensorFlow's optimizer of graphs takes longer than trainings as small as these."""
    import tensorflow as tf

    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False, **before})


@pytest.fixture(scope="module")
def quick_graphs() -> Iterator[None]:
    """For modules that train a little; `test_whole_run` trains with graphs as users have them."""
    with without_graph_optimizer():
        yield


@pytest.fixture
def eager_steps() -> Iterator[None]:
    """For trainings of a few steps, which take less time one operation after the other than the
    making of their graphs does. Runs that are shared between tests have graphs all the same."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory: pytest.TempPathFactory, shards: Path, micro_config: Config) -> Any:
    """The `Run` of a finished training of `micro_config` on `shards`; not to be changed."""
    from hourglass.training.run import train

    root = tmp_path_factory.mktemp("micro")
    with without_graph_optimizer():
        return train(
            micro_config,
            str(shards),
            folder=root / "models" / "micro",
            board=root / "logs" / "micro",
        )


@pytest.fixture(scope="session")
def micro_file(
    tmp_path_factory: pytest.TempPathFactory, micro_config: Config, crops: np.ndarray
) -> Path:
    """A model file of `micro_config`, calibrated; the last heatmaps lie in about [-1, 1]."""
    from hourglass.modelfiles.keras_file import save_calibrated, save_model
    from hourglass.networks.hourglass import build_network

    network = build_network(micro_config.network, seed=1)
    rng = np.random.default_rng(1)
    for weight in network.weights:
        weight.assign(weight.numpy() + rng.normal(0.0, 0.03, weight.shape).astype(np.float32))
    highest = abs(network(crops).numpy()[:, -1]).max()
    for weight in network.get_layer("heatmaps_2").weights:
        weight.assign(weight.numpy() / highest)
    path = tmp_path_factory.mktemp("micro_file") / "micro.keras"
    save_model(path, network, micro_config)
    lines = tuple(np.sort(rng.uniform(size=(16, 3))))
    save_calibrated(path, path, {PLAIN: Calibration(lines, lines)})
    return path


@pytest.fixture(scope="session")
def exported(
    tmp_path_factory: pytest.TempPathFactory, micro_file: Path, shards: Path
) -> Callable[..., Path]:
    """`exported(format, outputs=..., batch=..., quantize=...)`: `micro_file`'s export; made once.

    Not to be changed.
    """

    @functools.cache
    def export(kind: str, **choices: Any) -> Path:
        from hourglass.exporting.choices import Choices, default_output
        from hourglass.exporting.formats import export_model

        if choices.get("quantize") == "int8":
            choices["calibrate"] = f"{shards}/train*"
        name = default_output(micro_file, kind).name
        output = tmp_path_factory.mktemp("exported") / name
        export_model(micro_file, output, Choices(kind, **choices))
        return output

    return export


@pytest.fixture(scope="session")
def crops(micro_config: Config) -> np.ndarray:
    """Five pictures of noise as `micro_file` takes them."""
    size = micro_config.network.input_size
    return np.random.default_rng(0).integers(0, 256, (5, size, size, 3), np.uint8)


@pytest.fixture(scope="session")
def error_of() -> Callable[..., str]:
    """`error_of(command, *arguments)`: the one line with which a command that must fail ends."""

    def run(command: click.Command, *arguments: object) -> str:
        result = CliRunner().invoke(command, [str(argument) for argument in arguments])
        assert result.exit_code != 0, result.output
        assert isinstance(result.exception, SystemExit), repr(result.exception)
        lines = result.output.splitlines()
        assert [line.startswith("Error: ") for line in lines].count(True) == 1, result.output
        assert lines[-1].startswith("Error: "), result.output
        return lines[-1].removeprefix("Error: ")

    return run


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes with a core each, a `ray.cluster_utils.Cluster`; takes seconds."""
    os.environ.update(RAY_worker_niceness="0", RAY_USAGE_STATS_ENABLED="0")
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray_cluster_", dir="/tmp")  # sockets' names must be short
    cluster = Cluster()
    try:
        node = {"num_cpus": 1, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
        cluster.add_node(temp_dir=folder, **node)
        cluster.add_node(**node)
        yield cluster
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def processes_of_nodes() -> Callable[[str], list[int]]:
    """`processes_of_nodes(title)`: those of this program's cluster whose command has it in it."""

    def find(title: str) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                if title.encode() in command and _parent(_parent(int(folder.name))) == os.getpid():
                    found.append(int(folder.name))
            except OSError:
                continue
        return sorted(found)

    return find


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def damaged_shards(shards: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """`damaged_shards(split, how)`: a copy of `shards` with the split's last shard damaged."""

    def damage(split: str, how: str) -> Path:
        folder = tmp_path / "damaged"
        shutil.copytree(shards, folder)
        path = folder / shard_name(split, 2, 2)
        content = bytearray(path.read_bytes())
        if how == "truncated":
            del content[-100:]
        elif how == "damaged":
            content[len(content) // 2] ^= 0xFF
        elif how == "another schema":
            content[:] = frame(b"\n\x0b\n\t\n\x01x\x12\x04\x1a\x02\n\x00")
        path.write_bytes(content)
        return folder

    return damage
