"""Before and after, measured: cost, accuracy, and the files that go to the phone."""

import os

from keras_slim.export import benchmark_tflite, export_tflite, verify_tflite
from keras_slim.export.tflite_file import TfliteFile
from keras_slim.reports import ComparisonRow, compare_models
from keras_slim.whole_files import written_whole

PRECISIONS = {"float32": None, "int8": "int8"}
CALIBRATION_SAMPLES = 200
TIMED_RUNS = 300


def measure(dense, pruned, digits, folder):
    """Saves, exports, checks and times both models, and compares them.

    The test samples are looked at here, once, and nowhere else.

    Args:
        dense: The model that was not pruned.
        pruned: The model that was.
        digits: What `load_digits` returns.
        folder: Where to write `dense.keras`, `pruned.keras` and the LiteRT files.

    Returns:
        A `Comparison`.

    Raises:
        ExportError: If a file does not answer like its model.
    """
    (x, _), validation, test = digits
    models = {"dense": dense, "digits": pruned}
    _save(dense, os.path.join(folder, "dense.keras"))
    _save(pruned, os.path.join(folder, "pruned.keras"))
    exports = {
        precision: [_export(model, folder, name, precision, x) for name, model in models.items()]
        for precision in PRECISIONS
    }
    return compare_models(dense, pruned, title="Handwritten digits").extended(
        *_rows("{} file", "bytes", exports, lambda report: report.bytes),
        *_rows("{} LiteRT, 1 thread", "ms", exports, lambda report: _milliseconds(report.path)),
        _accuracy_row("validation accuracy", models, validation),
        _accuracy_row("test accuracy", models, test),
        ComparisonRow(
            "test accuracy, int8 file", *(file_accuracy(each.path, *test) for each in exports["int8"]), "share"
        ),
        *_agreement_rows(models, exports, test[0]),
    )


def file_accuracy(path, x, y):
    """Returns the accuracy of a LiteRT file.

    Args:
        path: Path of the file, of one input and one output.
        x: Samples.
        y: Their classes.

    Returns:
        A share.
    """
    file = TfliteFile(path)
    (name,) = file.inputs
    answers = (file.answer({name: x[index : index + 1]}) for index in range(len(x)))
    return sum(next(iter(each.values())).argmax() == label for each, label in zip(answers, y, strict=True)) / len(y)


def _export(model, folder, name, precision, x):
    path = os.path.join(folder, f"{name}-{precision}.tflite")
    return export_tflite(model, path, quantize=PRECISIONS[precision], data=x[:CALIBRATION_SAMPLES], verbose=0)


def _save(model, path):
    with written_whole(path) as scratch:
        model.save(scratch)


def _rows(label, unit, exports, measured):
    """Returns a row for each precision."""
    return [
        ComparisonRow(label.format(precision), *map(measured, reports), unit) for precision, reports in exports.items()
    ]


def _agreement_rows(models, exports, x):
    """Returns a row for each precision: files beside their models, on samples that no file was made with."""
    return [
        ComparisonRow(
            f"{precision} file and Keras agree",
            *(
                verify_tflite(model, report.path, x).sqnr_db
                for model, report in zip(models.values(), reports, strict=True)
            ),
            "dB",
        )
        for precision, reports in exports.items()
    ]


def _accuracy_row(label, models, samples):
    return ComparisonRow(label, *(_accuracy(model, *samples) for model in models.values()), "share")


def _accuracy(model, x, y):
    return model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]


def _milliseconds(path):
    return benchmark_tflite(path, runs=TIMED_RUNS).median_ms
