"""The network that a training fits: built, given its first weights, compiled with its loss."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
from loguru import logger

from hourglass.core.config import Config, NetworkConfig, TrainConfig, same_layers
from hourglass.core.errors import InputError
from hourglass.modelfiles.keras_file import load_model, read_config
from hourglass.networks.encoder_weights import encoder_arrays, fill_encoder, load_imagenet
from hourglass.networks.hourglass import build_network
from hourglass.networks.losses import ForegroundWeightedMSE, HeatmapLoss, SoftIoU
from hourglass.training.devices import Devices
from hourglass.training.metrics import StackLoss
from hourglass.training.optimizer import averaging_momentum, make_optimizer


def compiled_network(
    config: Config,
    devices: Devices,
    *,
    steps: int,
    weights: Path | None = None,
    loss: HeatmapLoss | None = None,
) -> keras.Model:
    """The network that a training fits, to be called within the devices' scope.

    Args:
        config: All choices.
        devices: What to train on.
        steps: Steps per epoch, which the learning rate's schedule counts in.
        weights: Model file to start from; None: random, or ImageNet's in an encoder.
        loss: What it minimises; default: as the configuration says.

    Raises:
        ValueError: If `weights` are of another network.
    """
    choices, policy = config.train, devices.policy(config.train.precision)
    network = build_network(
        config.network,
        precision=policy,
        synchronized=devices.strategy is not None and devices.replicas > 1,
        frozen_statistics=choices.frozen_statistics,
        fused=True,
        shifted=keras.backend.backend() == "jax" and devices.gpus > 0,
        seed=choices.seed,
    )
    if weights:
        _start_from(weights, network, config.network)
    elif config.network.encoder != "none":
        load_imagenet(network)
    if choices.averaging:
        average_statistics(network, averaging_momentum(choices, steps))
    loss = loss or heatmap_loss(choices)
    optimizer = make_optimizer(choices, steps, loss_scaling=policy == "mixed_float16")
    optimizer.build(network.trainable_variables)
    network.compile(
        optimizer=optimizer,
        loss=loss,
        weighted_metrics=[StackLoss(loss, stack) for stack in range(config.network.stacks)],
        jit_compile=devices.jit(choices.xla),
    )
    return network


def average_statistics(network: keras.Model, momentum: float) -> None:
    """Lets BatchNorm's statistics reach over as many steps as the average of the weights.

    The averaged weights would otherwise be validated and saved with the last few steps' statistics,
    which are those of other weights.
    """
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = max(layer.momentum, momentum)


def heatmap_loss(choices: TrainConfig) -> HeatmapLoss:
    """The loss that `choices` name."""
    return SoftIoU() if choices.loss == "iou" else ForegroundWeightedMSE(choices.foreground_weight)


def _start_from(path: Path, network: keras.Model, wanted: NetworkConfig) -> None:
    """Fills a network with a model file's weights, or with those of its encoder alone.

    They may be for crops of another size, and for other joints: then the layers that read or write
    heatmaps keep their random weights, and all others are taken.
    """
    stored = read_config(path).network
    if same_layers(dataclasses.replace(stored, joints=wanted.joints), wanted):
        _take_all(path, network)
    elif _has_encoder_of(stored, wanted):
        arrays = encoder_arrays(load_model(path)[0])
        fill_encoder(network, arrays, where=str(path))
        logger.info(f"starting from the encoder of {path}; all other layers start anew")
    else:
        raise InputError(
            f"{path}: --weights are of another network ({stored}), it must be {wanted}"
        )


def _has_encoder_of(stored: NetworkConfig, wanted: NetworkConfig) -> bool:
    same = wanted.encoder != "none" and stored.encoder == wanted.encoder
    return same and stored.encoder_stages >= wanted.encoder_stages


def _take_all(path: Path, network: keras.Model) -> None:
    left = []
    for layer, other in zip(network.layers, load_model(path)[0].layers, strict=True):
        values = other.get_weights()
        if [value.shape for value in values] == [tuple(one.shape) for one in layer.weights]:
            layer.set_weights(values)
        else:
            left.append(layer.name)
    kept = f", but for {', '.join(left)}: the joints are others" if left else ""
    logger.info(f"starting from the weights of {path}{kept}")
