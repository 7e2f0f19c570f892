"""The main job, end to end: what `keras-slim quickstart` promises, held to it."""

import json

import keras
import pytest

from keras_slim.cli import main
from keras_slim.datasets import load_digits
from keras_slim.export import verify_tflite

FILES = {
    *("dense.keras", "dense-float32.tflite", "dense-int8.tflite"),
    *("pruned.keras", "digits-float32.tflite", "digits-int8.tflite"),
    *("report.json", "report.md", "report.png"),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_the_promises(tmp_path, capsys, seed):
    assert main(["quickstart", "--seed", seed, "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    said = "epoch 36/36", "Pruning round 4/4", "multiply-accumulates", "was kept", "CC BY 4.0", "keras-slim phone "
    for part in said:
        assert part in out
    assert {path.name for path in tmp_path.iterdir()} == FILES

    report = json.loads((tmp_path / "report.json").read_text())
    rows = {row["label"]: row for row in report["comparison"]["rows"]}
    macs, accuracy = rows["multiply-accumulates"], rows["test accuracy"]
    assert macs["after"] <= 0.4 * macs["before"]
    assert accuracy["after"] >= accuracy["before"] - 0.01 - 1e-9
    assert accuracy["before"] > 0.95
    assert rows["test accuracy, int8 file"]["after"] >= accuracy["after"] - 0.02

    _, _, (x_test, y_test) = load_digits(seed=int(seed))
    for name, file in (("dense", "dense"), ("pruned", "digits")):
        model = keras.saving.load_model(tmp_path / f"{name}.keras")
        for precision in ("float32", "int8"):
            path = tmp_path / f"{file}-{precision}.tflite"
            verify_tflite(model, path, x_test)  # raises if it lies
            column = "before" if name == "dense" else "after"
            assert rows[f"{precision} file"][column] == path.stat().st_size
    assert model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"] == pytest.approx(accuracy["after"])
