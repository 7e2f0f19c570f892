"""What is written where another kind of file may be: nothing."""

import os

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.sparsity import Masks, Ticket

MASKS = Masks({"net/head/kernel": np.ones((4, 2))})


def model():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="net")


@pytest.mark.parametrize("name", ["good.keras", "good.weights.h5", "good.pdf", "good"])
@pytest.mark.parametrize(
    ("write", "owner", "ending"),
    [
        (lambda path: slim.save_compressed(model(), path), "save_compressed", ".h5"),
        (lambda path: slim.export_tflite(model(), path, verbose=0), "export_tflite", ".tflite"),
        (lambda path: slim.export.export_signatures({"a": model()}, path), "export_signatures", ".tflite"),
        (MASKS.save, "Masks", ".npz"),
        (lambda path: Ticket.of(model(), MASKS).save(path), "Ticket", ".npz"),
    ],
    ids=["save_compressed", "export_tflite", "export_signatures", "Masks", "Ticket"],
)
def test_a_file_of_another_kind_is_left_alone(write, owner, ending, name, tmp_path):
    (tmp_path / name).write_bytes(b"a good model")
    with pytest.raises(ValueError, match=rf"`path` of `{owner}`. Expected a path that ends with '{ending}'.*{name}'"):
        write(tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"a good model"
    assert os.listdir(tmp_path) == [name]


def test_a_plan_does_not_take_the_place_of_a_model(tmp_path, capsys):
    from keras_slim.cli import main

    path = tmp_path / "good.keras"
    model().save(path)
    before = path.read_bytes()
    with pytest.raises(SystemExit):
        main(["prune", str(path), "--ratio", "0.5", "--output", str(tmp_path / "a.keras"), "--plan-json", str(path)])
    assert r"ends with .json" in capsys.readouterr().err
    assert path.read_bytes() == before
