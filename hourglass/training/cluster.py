"""One training on many machines: a Ray Train job of JAX processes, joined by `jax.distributed`.

Each process makes its rows of every batch from its part of the shards. The first one writes the
run's files. A process that dies is started again, with all others, and the run goes on from
`last.keras`. Keras is imported by the processes alone, not by the program that starts the job.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from hourglass.core import cluster
from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.core.processor import core_count
from hourglass.core.storage import Place, StorageError, is_url
from hourglass.data.batches import Share
from hourglass.media.targets import make_folder
from hourglass.modelfiles.metadata import TrainingState
from hourglass.training.messages import Messages, speak, told_here
from hourglass.training.outcome import Run, goes_on, require_free

RESTARTS = 3
"""Times that a run is started again after one of its processes died."""

STORAGE = ".ray"
"""Ray Train's own files, in the run's folder while it runs: it needs a place that all machines
see."""


def train_on_cluster(
    config: Config,
    data: str | None,
    *,
    address: str | None,
    workers: int | None,
    gpus_per_worker: int = 0,
    folder: Place,
    board: Place,
    resume: bool = False,
    new_data: bool = False,
    weights: Place | None = None,
    teacher: Place | None = None,
) -> Run:
    """Trains as `hourglass.training.run.train` does, on a running Ray cluster.

    Every machine of it has the project with JAX installed, and sees the same folders.

    Args:
        config: All choices; the batch is that of all workers together.
        data: Folder of the shards, or several as `mixture.parse_folders` reads them. None: those
            of the run that is resumed.
        address: The cluster's.
        workers: Processes that train together.
        gpus_per_worker: Of each process; 0 to train on CPUs.
        folder: Where model files, configuration and history go.
        board: Where TensorBoard logs go.
        resume: Go on from `folder/last.keras`, with as many workers as are asked for now.
        new_data: Go on even if the data are not those that the run began with.
        weights: Model file to start from.
        teacher: Model file to learn from.

    Raises:
        ValueError: If no address or number is given, no cluster answers, it is too small, or as
            `train`; or if processes die time after time.
    """
    began = time.monotonic()
    if not address:
        raise InputError("--workers and --gpus-per-worker are of a cluster: give --ray-address")
    if not workers:
        raise InputError(f"--ray-address {address}: say with --workers how many train together")
    os.environ["RAY_TRAIN_V2_ENABLED"] = "1"
    _require_packages()
    with cluster.started(address, None):
        _require_room(address, workers, gpus_per_worker)
        make_folder(folder)
        require_free(folder, resume=resume)
        orders = {
            "config": config,
            "data": None if data is None else _absolute(data),
            "resume": resume,
            "new_data": new_data,
            "folder": folder.resolve(),
            "board": board.resolve(),
            "weights": weights.resolve() if weights else None,
            "teacher": teacher.resolve() if teacher else None,
        }
        done = _run_job(orders, address, workers, gpus_per_worker)
    state = TrainingState(done["epoch"], done["best_score"], done["best_epoch"])
    return Run(folder, board, state, time.monotonic() - began, done["score"])


def _require_packages() -> None:
    try:
        import ray.train.v2.jax  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"training on a cluster needs Ray Train ({error}): "
            "pip install 'hourglass-pose[cluster]'"
        ) from error


def _absolute(data: str) -> str:
    """The folders of the shards by whole paths: workers start elsewhere."""
    from hourglass.data.mixture import parse_folders

    folders = parse_folders(data)
    return ",".join(
        (folder if is_url(folder) else os.path.abspath(folder))
        + ("" if share is None else f":{share}")
        for folder, share in folders.items()
    )


def _require_room(address: str, workers: int, gpus: int) -> None:
    """Refuses what Ray would wait for without end.

    Raises:
        ValueError: If the cluster is too small.
    """
    import ray

    there = ray.cluster_resources()
    for kind, wanted in (("GPU", workers * gpus), ("CPU", workers)):
        if there.get(kind, 0) < wanted:
            raise InputError(
                f"the cluster at {address} has {there.get(kind, 0):g} {kind}s in "
                f"{cluster.describe_nodes(cluster.count_nodes())}, --workers {workers}"
                f"{f' --gpus-per-worker {gpus}' if gpus else ''} needs {wanted}"
            )


def _run_job(orders: dict[str, Any], address: str, workers: int, gpus: int) -> dict[str, Any]:
    """What the first process returns."""
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.exceptions import TrainingFailedError
    from ray.train.v2.jax import JaxConfig, JaxTrainer

    messages = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=RESTARTS)(Messages).remote()
    _require_project(messages, address)
    storage = orders["folder"] / STORAGE
    trainer = JaxTrainer(
        train_share,
        train_loop_config={**orders, "messages": messages},
        # `train_share` joins the processes itself: Ray joins none on CPUs, and gives all workers of
        # a machine its first GPUs.
        jax_config=JaxConfig(),
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": 1, **({"GPU": gpus} if gpus else {})},
            placement_strategy="SPREAD",
        ),
        run_config=RunConfig(
            name="run",
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=RESTARTS),
            worker_runtime_env={
                "env_vars": {
                    "KERAS_BACKEND": "jax",
                    "JAX_PLATFORMS": "cuda" if gpus else "cpu",
                    "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
                }
            },
        ),
    )
    _remove(storage)  # what a killed program left
    try:
        with told_here(messages, address):
            returned = trainer.fit().return_value
    except TrainingFailedError as error:
        if _is_fault(error):
            raise
        raise InputError(
            f"the training's processes on {address} ended {RESTARTS + 1} times, the last time: "
            f"{_reason(error)}"
        ) from error
    finally:
        _remove(storage)
    if failure := ray.get(messages.failure.remote()):
        raise InputError(failure)
    return returned


def _remove(folder: Place) -> None:
    if isinstance(folder, Path):
        shutil.rmtree(folder, ignore_errors=True)
        return
    with contextlib.suppress(StorageError):  # a training must not fail by what it leaves
        for name in folder.entries():
            (folder / name).unlink(missing_ok=True)


def _require_project(messages: Any, address: str) -> None:
    import ray
    from ray.exceptions import RayError

    try:
        ray.get(messages.failure.remote())
    except RayError as error:
        raise InputError(
            f"{address}: a machine of the cluster cannot run this project; each needs the same "
            f"version, with its cluster extra ({_reason(error)})"
        ) from error


def _is_fault(error: Any) -> bool:
    """Whether the program itself failed in all processes, so that its traceback is wanted.

    When a process dies, others may fail because of that.
    """
    failures = getattr(error, "worker_failures", {}).values()
    return bool(failures) and all(
        type(one).__name__ == "UserExceptionWithTraceback" for one in failures
    )


def _reason(error: Exception) -> str:
    """The last line of the first process's failure that says anything."""
    failures = [*getattr(error, "worker_failures", {}).values(), error]
    lines = [line for line in str(failures[0]).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(failures[0]).__name__


def train_share(orders: dict[str, Any]) -> dict[str, Any] | None:
    """What each process runs: the whole training, with its rows of each batch.

    Args:
        orders: `train`'s arguments, and the `Messages`.

    Returns:
        How the run ended.
    """
    import ray
    import ray.train

    messages = orders["messages"]
    if ray.get(messages.failure.remote()):
        return None
    context = ray.train.get_context()
    share = Share(
        context.get_world_rank(),
        context.get_world_size(),
        makers=max(1, core_count() // context.get_local_world_size()),
    )
    speak(messages, orders["folder"], leads=share.index == 0)
    _join(share)
    try:
        from hourglass.training.devices import find_devices
        from hourglass.training.run import train

        run = train(
            orders["config"],
            orders["data"],
            folder=orders["folder"],
            board=orders["board"],
            # What is there after a restart is what this run has written.
            resume=orders["resume"] or goes_on(orders["folder"]),
            new_data=orders["new_data"],
            weights=orders["weights"],
            teacher=orders["teacher"],
            devices=find_devices(share=share),
        )
    except (InputError, OSError) as error:
        ray.get(messages.fail.remote(" ".join(str(error).split())))
        raise
    _part(share)
    state = run.state
    return {
        "epoch": state.epoch,
        "best_score": state.best_score,
        "best_epoch": state.best_epoch,
        "score": run.score,
    }


def _join(share: Share) -> None:
    """Makes one computer of the processes: the first one's machine coordinates them."""
    import jax
    import ray
    from ray.train.collective import broadcast_from_rank_zero

    if share.count == 1:
        return
    address = None
    if share.index == 0:
        with socket.socket() as free:
            free.bind(("", 0))
            address = f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"
    jax.distributed.initialize(
        broadcast_from_rank_zero(address),
        share.count,
        share.index,
        cluster_detection_method="deactivate",
    )


def _part(share: Share) -> None:
    """Ends together: who went first would look like dead to the others."""
    import jax

    if share.count > 1:
        jax.distributed.shutdown()
