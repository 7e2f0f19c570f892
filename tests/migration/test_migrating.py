"""What `migrate` and its command do around the other process, which a small program stands for here."""

import json
import math

import keras
import numpy as np
import pytest
from tfmot_by_hand import Described, entry_of, input_of, interpreter

import keras_slim as slim
from keras_slim.cli import main
from keras_slim.errors import ExportError, MissingExtraError, SlimWarning

X = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
KERNEL = np.array([[0.5, 0.0], [-1.0, 0.5], [0.0, 2.0]], "float32")


@pytest.fixture
def old(tmp_path):
    """A file, and a function that returns an interpreter which has read a clustered layer in it."""
    path = tmp_path / "old.h5"
    path.write_bytes(b"")

    def python(off=0.0, x=X, **answer):
        described = Described()
        described.entries.append(input_of(3))
        weights = [described.weight("kernel", KERNEL, shared=True, mask=KERNEL != 0)]
        dense = entry_of("Dense", "head", units=2, use_bias=False)
        described.layer("ClusterWeights", "cluster_head", layer=dense, weights=weights)
        samples, answers = described.add(x), described.add(x @ KERNEL + np.float32(off))
        told = {"model": described.sequential(), "layers": described.layers, "versions": {"tensorflow": "2"}}
        told.update(samples=[samples], answers=[answers])
        return interpreter(tmp_path, answer or told, described.arrays)

    return path, python


def test_masks_codes_and_the_bits_to_train_on_with(old):
    path, python = old
    found = slim.migrate(path, X, ("pruning", "clustering"), python=python())
    np.testing.assert_array_equal(found.masks["net/head/kernel"], KERNEL != 0)
    # By value, from the lowest: -1, 0.5 and 2; zeros have code 0.
    assert found.codes["net/head/kernel"].tolist() == [[2, 0], [1, 2], [0, 3]]
    assert found.bits == {"net/head/kernel": 2}
    assert found.max_abs_error <= 1e-6
    assert "largest difference" in found.describe()
    assert json.loads(json.dumps(found.to_dict()))["samples"] == 4
    plain = slim.migrate(path, python=python())
    assert (plain.masks, plain.codes, plain.bits) == (None, None, {})


def test_another_answer_is_refused_and_nothing_is_written(old, tmp_path, capsys):
    path, python = old
    with pytest.raises(ExportError, match="largest difference is 0.01 "):
        slim.migrate(path, python=python(off=0.01))
    assert slim.migrate(path, python=python(off=0.01), tolerance=-math.inf).sqnr_db < 80
    new = tmp_path / "new.keras"
    words = ["migrate", str(path), str(new), "--keep", "pruning", "--python", python(off=0.01)]
    assert main(words) == 1
    assert "does not answer like" in capsys.readouterr().err
    assert not new.exists()
    assert not (tmp_path / "new.masks.npz").exists()


def test_answers_that_are_all_the_same_prove_little(old):
    path, python = old
    with pytest.warns(SlimWarning, match="hardly differ from sample to sample"):
        slim.migrate(path, python=python(x=np.ones((4, 3), "float32")))


def test_the_command_writes_the_model_masks_and_codes(old, tmp_path, capsys):
    path, python = old
    new = tmp_path / "new.keras"
    assert main(["migrate", str(path), "-o", str(new), "--keep", "pruning,clustering", "--python", python()]) == 0
    said = capsys.readouterr().out
    assert "WeightSharing(bits={'net/head/kernel': 2})" in said
    np.testing.assert_allclose(keras.saving.load_model(new)(X), X @ KERNEL, atol=1e-6)
    assert slim.sparsity.Masks.load(tmp_path / "new.masks.npz")["net/head/kernel"].sum() == 4
    assert slim.sharing.Codes.load(tmp_path / "new.codes.npz")["net/head/kernel"].max() == 3
    assert main(["migrate", str(path), str(new), "--python", python(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wrapped"] == {"clustering": ["head"]}


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ({"missing": "No module named 'tf_keras'"}, MissingExtraError, r"pip install 'keras_slim\[tfmot\]'"),
        ({"error": "Unknown layer: 'Mine'"}, ValueError, "TFMOT cannot read .*Unknown layer: 'Mine'.*of your own"),
    ],
)
def test_what_the_other_process_says_is_an_error(answer, kind, message, old):
    path, python = old
    with pytest.raises(kind, match=message):
        slim.migrate(path, python=python(**answer))


def test_a_process_that_dies_is_an_error(old, tmp_path):
    with pytest.raises(RuntimeError, match="ended before it was done. It said: it went wrong"):
        slim.migrate(old[0], python=interpreter(tmp_path))
    with pytest.raises(ValueError, match="cannot be run"):
        slim.migrate(old[0], python=tmp_path / "no_python")


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("missing.h5", {}, "There is no file"),
        ("model.tflite", {}, "no model that can be migrated"),
        ("old.h5", {"keep": ("prunning",)}, "'pruning'"),
        ("old.h5", {"data": [np.zeros((2, 3)), np.zeros((3, 3))]}, "as many samples"),
        ("old.h5", {"data": np.zeros((0, 3))}, "at least one"),
    ],
)
def test_bad_arguments(path, options, message, tmp_path):
    for name in ("old.h5", "model.tflite"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ValueError, match=message):
        slim.migrate(tmp_path / path, **options)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_model_of_keras_3_is_said_to_be_one(ending, tmp_path):
    path = tmp_path / f"new{ending}"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    with pytest.raises(ValueError, match="is a model of Keras 3 already"):
        slim.migrate(path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["old.h5"], "one of the arguments NEW.keras -o/--output is required"),
        (["old.h5", "new.h5"], "ends with .keras"),
        (["old.h5", "new.keras", "--keep", "all"], "expected some of pruning,clustering,quantization"),
        (["old.h5", "new.keras", "-o", "new.keras"], "not allowed with"),
    ],
)
def test_bad_usage(words, message, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["migrate", *words])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err
