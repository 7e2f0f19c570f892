"""Models that TFMOT has trained and saved, as Keras 3 models. Runs where TFMOT is installed: `tox -e tfmot`."""

import importlib.util
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow_model_optimization") is None, reason="TFMOT is not installed"
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    script = pathlib.Path(__file__).with_name("old_models.py")
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def x(folder):
    return np.load(folder / "x.npy")


def answers(model, x):
    return model.predict(x, verbose=0)


@pytest.mark.parametrize("ending", [".h5", ".keras", "_saved"])
def test_a_pruned_model_answers_alike_and_its_masks_are_its_zeros(ending, folder, x):
    found = slim.migrate(folder / f"pruned{ending}", x, keep=("pruning",))
    assert found.max_abs_error <= 1e-6
    np.testing.assert_allclose(answers(found.model, x), np.load(folder / "pruned.npy"), atol=1e-6)
    assert {type(layer).__module__.split(".")[0] for layer in found.model.layers} == {"keras"}
    assert [layer.name for layer in found.model.layers] == [
        *("image", "conv", "norm", "relu", "depthwise", "flat", "head"),
    ]
    assert list(found.masks) == ["conv/kernel", "head/kernel"]
    assert found.masks == slim.sparsity.Masks.nonzero(found.model, found.masks)
    assert found.masks.sparsity == pytest.approx(0.5, abs=0.02)
    assert set(found.wrapped) == {"pruning"}


def test_zeros_of_a_stripped_model_are_masks_too(folder, x):
    found = slim.migrate(folder / "stripped.h5", x, keep=("pruning",))
    assert found.max_abs_error <= 1e-6
    assert found.wrapped == {}
    assert found.masks == slim.sparsity.Masks.nonzero(found.model)
    assert found.masks["conv/kernel"].mean() == 0.5


def test_a_clustered_model_answers_as_it_did_before_it_was_saved(folder, x):
    """Other than in TFMOT itself, which preserves the zeros of random weights after it has loaded a model."""
    found = slim.migrate(folder / "clustered.h5", x, keep="clustering")
    np.testing.assert_allclose(answers(found.model, x), np.load(folder / "clustered.npy"), atol=1e-6)
    assert list(found.codes) == ["conv/kernel", "head/kernel"]
    for path, codes in found.codes.items():
        kernel = slim.sparsity.kernels(found.model)[path].numpy()
        assert len(np.unique(kernel)) <= 5
        np.testing.assert_array_equal(codes == 0, kernel == 0)
        assert (kernel == 0).mean() > 0.4
        for code in np.unique(codes):
            assert len(np.unique(kernel[codes == code])) == 1
    sharing = slim.callbacks.WeightSharing(bits=found.bits, verbose=0)
    found.model.compile(keras.optimizers.SGD(0.0), "mse")
    found.model.fit(x, np.zeros((16, 3)), verbose=0, callbacks=[sharing])
    assert sharing.codes == found.codes


def test_a_quantized_model_is_near_when_plain_and_the_same_with_its_quantizers(folder, x, tmp_path):
    old = np.load(folder / "quantized.npy")
    plain = slim.migrate(folder / "quantized.h5", x)
    assert 20 < plain.sqnr_db < 100
    assert all(len(np.unique(kernel)) <= 255 for kernel in slim.sparsity.kernels(plain.model).values())
    assert not any(isinstance(layer, slim.layers.Quantize) for layer in plain.model.layers)

    kept = slim.migrate(folder / "quantized.h5", x, keep=("quantization",))
    assert kept.sqnr_db > 60  # a number on the other side of the middle between two steps would leave less
    np.testing.assert_allclose(answers(kept.model, x), old, atol=1e-5)
    kinds = {layer.name: type(layer).__name__ for layer in kept.model.layers}
    assert kinds["conv"] == "QuantConv2D"
    assert kinds["relu_quantize"] == "Quantize"
    assert kinds["head"] == "QuantDense"
    report = slim.export_tflite(kept.model, tmp_path / "model.tflite", "int8", data=x, verbose=0)  # TFMOT's ranges
    assert report.float_islands == ()
    assert report.agreement.sqnr_db > 30


def test_words_recurrent_layers_and_a_model_inside_called_twice(folder):
    found = slim.migrate(folder / "recurrent_saved", keep=("pruning",))
    assert found.max_abs_error <= 1e-6
    assert found.drawn
    assert found.samples == 32
    assert [path for path in found.masks if "inner" in path] == ["inner/dense/kernel"]
    assert len([path for path in found.masks if "recurrent_kernel" in path]) == 2


def test_operations_between_layers_and_two_outputs(folder):
    found = slim.migrate(folder / "mixed.h5")
    assert len(found.outputs) == 2
    assert found.max_abs_error <= 1e-6


def test_the_command_as_typed_in_its_help(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "old.h5").write_bytes((folder / "pruned.h5").read_bytes())
    assert main(["migrate", "old.h5", "new.keras", "--keep", "pruning"]) == 0
    said = capsys.readouterr().out
    assert "largest difference" in said
    assert "Wrote new.keras" in said
    model = keras.saving.load_model("new.keras")
    assert slim.sparsity.Masks.load("new.masks.npz") == slim.sparsity.Masks.nonzero(
        model, ["conv/kernel", "head/kernel"]
    )
