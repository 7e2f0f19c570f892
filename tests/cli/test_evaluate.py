import json

import keras
import numpy as np
import pytest


def test_metrics_of_a_file(prints, tflite_path, data_path):
    found = json.loads(prints("evaluate", tflite_path, "--data", data_path, "--json"))
    assert found["samples"] == 40
    assert 0 < found["metrics"]["accuracy"] < 1
    assert found["model_metrics"] is None


def test_beside_its_model(prints, tflite_path, model_path, data_path):
    words = ["evaluate", tflite_path, "--data", data_path, "--model", model_path, "--threads", "2"]
    text = prints(*words, "--metric", "sparse_categorical_crossentropy", "--metric", "accuracy")
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
    assert rows["accuracy"][0] == rows["accuracy"][1]
    assert "sparse_categorical_crossentropy" in rows
    data = np.load(data_path)
    assert rows["2"][0] == str(np.sum(data["y"] == 2))
    assert "dB on 40 samples" in text


def test_several_outputs(prints, fails, tmp_path):
    inputs = keras.Input((3,))
    model = keras.Model(inputs, [keras.layers.Dense(1, name="a")(inputs), keras.layers.Dense(1, name="b")(inputs)])
    model.save(tmp_path / "m.keras")
    prints("export", tmp_path / "m.keras", "-o", tmp_path / "m.tflite")
    x = np.eye(3, dtype="float32")
    y = [np.asarray(each) for each in model(x)]
    np.savez(tmp_path / "d.npz", x=x, y_0=y[0] + 1, y_1=y[1] + 2)
    words = ["evaluate", tmp_path / "m.tflite", "--data", tmp_path / "d.npz", "--model", tmp_path / "m.keras", "--json"]
    assert "metrics" in fails(2, *words, "--metric", "mse"), "as in Keras, each output wants its own"
    found = json.loads(prints(*words, "--metric", "mse", "--metric", "mae"))
    assert found["metrics"] == {"a_mse": pytest.approx(1, rel=1e-4), "b_mae": pytest.approx(2, rel=1e-4)}


def test_bad_usage(fails, tflite_path, data_path, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 8, 8, 1)))
    assert "has no targets" in fails(2, "evaluate", tflite_path, "--data", tmp_path / "x.npz")
    assert "--data" in fails(2, "evaluate", tflite_path)
    assert "'nothing'" in fails(2, "evaluate", tflite_path, "--data", data_path, "--metric", "nothing")
    assert "There is no file" in fails(2, "evaluate", tmp_path / "no.tflite", "--data", data_path)
    (tmp_path / "bad.tflite").write_text("no file of that kind")
    assert "not a LiteRT file" in fails(1, "evaluate", tmp_path / "bad.tflite", "--data", data_path)
