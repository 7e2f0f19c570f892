"""The parts of the quickstart; `tests/integration/test_quickstart.py` runs it whole."""

import json

import keras
import pytest
from rich.console import Console

from keras_slim.cli.files import load_model, load_samples
from keras_slim.cli.quickstart.measuring import file_accuracy
from keras_slim.cli.quickstart.network import build_network
from keras_slim.cli.quickstart.progress import show_progress
from keras_slim.cli.quickstart.report import Report
from keras_slim.cli.quickstart.training import Training
from keras_slim.reports import Comparison, ComparisonRow

ROUND = {"epoch": 1, "units": 8, "params": 50, "macs": 400, "seconds": 0.1, "plan": object()}
HISTORY = {"val_accuracy": [0.5, 0.9], "macs": [1000.0, 400.0]}


def make_report(macs_after=400, accuracy_after=0.98):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, name="dense")])
    comparison = Comparison(
        [
            ComparisonRow("multiply-accumulates", 1000, macs_after),
            ComparisonRow("test accuracy", 0.99, accuracy_after, "share"),
        ],
        title="Digits",
    )
    dense = Training(model, {"val_accuracy": [0.5, 0.95]}, [])
    return Report(comparison, dense, Training(model, HISTORY, [ROUND]), 3, 2, 12.3, "Data by somebody.")


@pytest.mark.parametrize(
    ("macs", "accuracy", "word"),
    [(400, 0.98, "kept"), (401, 0.98, "MISSED"), (400, 0.9799, "MISSED"), (100, 1.0, "kept")],
)
def test_the_promise_is_judged(macs, accuracy, word):
    report = make_report(macs, accuracy)
    assert report.kept_promise == (word == "kept")
    assert f"was {word}." in report.verdict()


def test_the_verdict_says_what_is_compared():
    text = make_report().verdict()
    assert "60.0% of the multiply-accumulates are gone" in text
    assert "99.0% to 98.0% (-1.0 points)" in text
    assert "trained for the same 2 epochs without pruning" in text


def test_everything_is_written(tmp_path):
    note = make_report().write(tmp_path)
    assert note.endswith("report.json, report.md, report.png")
    plain = json.loads((tmp_path / "report.json").read_text())
    assert plain["seed"] == 3
    assert plain["removed_macs"] == pytest.approx(0.6)
    assert plain["rounds"] == [{"epoch": 1, "units": 8, "params": 50, "macs": 400, "seconds": 0.1}]
    assert set(plain["versions"]) >= {"keras_slim", "python", "keras", "tensorflow"}
    text = (tmp_path / "report.md").read_text()
    for part in ("| multiply-accumulates | 1,000 | 400 | -60.0% |", "--seed 3", "report.png)", "Data by somebody."):
        assert part in text


def test_the_accuracy_of_a_file(model_path, tflite_path, data_path):
    x, _ = load_samples(data_path)
    labels = load_model(model_path).predict(x, verbose=0).argmax(axis=1)
    labels[:10] = (labels[:10] + 1) % 3  # ten of forty are wrong
    assert file_accuracy(tflite_path, x, labels) == 0.75


def test_the_network():
    model = build_network(steps=10)
    assert model.input_shape == (None, 8, 8, 1)
    assert model.output_shape == (None, 10)
    # Three convolutions of 32, one of 64, batch norm with four numbers a channel, and the last layer.
    convolutions = 9 * (32 + 32 * 32 + 32 * 32 + 32 * 64)
    assert model.count_params() == convolutions + 4 * (3 * 32 + 64) + 65 * 10


def test_progress_elsewhere_than_on_a_terminal(capsys):
    console = Console(force_terminal=False, width=100)
    with show_progress(console, "training", 7) as progress:
        for epoch in range(7):
            progress.on_epoch_end(epoch, {"val_accuracy": 0.5, "macs": 1.5e6})
    assert capsys.readouterr().out.splitlines() == [
        "",
        "training, 7 epochs",
        "epoch 6/7  validation accuracy 50.0%  1.50 M multiply-accumulates",
        "epoch 7/7  validation accuracy 50.0%  1.50 M multiply-accumulates",
    ]


def test_progress_on_a_terminal(capsys):
    console = Console(force_terminal=True, width=120)
    with show_progress(console, "training", 2) as progress:
        for epoch in range(2):
            progress.on_epoch_end(epoch, {"val_accuracy": 0.5})
    text = capsys.readouterr().out
    assert "2/2" in text
    assert "validation accuracy 50.0%" in text


def test_bad_usage(fails, tmp_path):
    assert "--epochs: expected at least 14" in fails(2, "quickstart", "--epochs", "5")
    assert "--seed: expected an integer of at least 0" in fails(2, "quickstart", "--seed", "-1")
    (tmp_path / "file").write_text("")
    message = fails(2, "quickstart", "--output", tmp_path / "file")
    assert "cannot be made" in message
