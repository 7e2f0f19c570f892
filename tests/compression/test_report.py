import json
import os

import keras
import numpy as np

from keras_slim.compression import inspect_compressed, save_compressed


def test_the_table_adds_up(saved):
    assert saved.file_bytes == os.path.getsize(saved.path)
    layers = {layer.name: layer for layer in saved.layers}
    assert list(layers) == ["conv", "norm", "hidden", "scores"]
    assert [layer.weights for layer in saved.layers] == [10 * 6 - 6 + 6 - 0, 4 * 6, 216 * 20 + 20, 63]
    assert saved.dense_bytes == 4 * sum(layer.weights for layer in saved.layers)
    assert (layers["conv"].bits, layers["hidden"].bits) == (3, 2)
    assert saved.ratio == saved.dense_bytes / saved.file_bytes


def test_what_is_kept_is_counted(saved, model):
    for layer, row in zip([layer for layer in model.layers if layer.weights], saved.layers, strict=True):
        assert row.kept == sum(np.count_nonzero(weight) for weight in layer.weights)


def test_hdf5_takes_little(saved):
    assert saved.hdf5_bytes < 600


def test_a_file_tells_what_saving_told(saved, model, tmp_path):
    assert inspect_compressed(saved.path) == saved
    report = save_compressed(model, tmp_path / "half.slim.h5", float16=True)
    assert inspect_compressed(tmp_path / "half.slim.h5") == report


def test_numbers_survive_json(saved):
    plain = json.loads(json.dumps(saved.to_dict()))
    assert plain["file_bytes"] == saved.file_bytes
    assert plain["layers"][0]["name"] == "conv"


def test_the_table_in_words(saved, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = str(saved).splitlines()
    assert lines[0] == saved.path
    rows = {line.split()[0]: line.split() for line in lines[2:] if line.strip()}
    assert rows["hidden"][1] == "4,340"
    assert rows["File"][-2] == f"{saved.file_bytes:,}"
    assert sum(int(row[-2 if row[-1].endswith("x") else -1].replace(",", "")) for row in list(rows.values())[2:-1]) == (
        saved.file_bytes
    )


def test_a_model_without_weights(tmp_path):
    report = save_compressed(keras.Sequential([keras.Input((3,)), keras.layers.Flatten()]), tmp_path / "none.slim.h5")
    assert report.layers == ()
    assert "(architecture)" in str(report)
