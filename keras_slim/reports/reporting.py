"""Looking at two models from all sides: sizes, quality, files, and how the smaller one came to be."""

import os

import keras
import numpy as np

from keras_slim.errors import first_sentence, in_short, invalid_argument
from keras_slim.export import evaluate_tflite, verify_tflite
from keras_slim.export.compiled_metrics import check_metrics, made_anew
from keras_slim.export.latency import time_file
from keras_slim.export.report import weigh
from keras_slim.export.tflite_file import TfliteFile
from keras_slim.graph.channel_graph import Whole
from keras_slim.graph.endpoints import endpoints
from keras_slim.graph.opening import readable
from keras_slim.profiling import profile
from keras_slim.pruning import PruningPlan, Trajectory
from keras_slim.reports.comparison import Comparison, ComparisonRow
from keras_slim.reports.environment import environment
from keras_slim.reports.kernel_values import kernel_values
from keras_slim.reports.model_report import ZEROS, FileReport, LayerWidth, ModelReport, check_path
from keras_slim.reports.pictures import widths
from keras_slim.rewriting.description import ModelDescription
from keras_slim.scoring.data import num_samples

_OWNER = "report"
_BATCH_SIZE = 128
_TIMED_RUNS, _WARMUP_RUNS = 50, 5
_SHARES = ("accuracy", "acc", "precision", "recall", "auc", "iou", "f1")


def report(
    before: keras.Model | str | os.PathLike,
    after: keras.Model | str | os.PathLike,
    data: object = None,
    path: str | os.PathLike | None = None,
    *,
    files: object = (),
    metrics: object = None,
    made_by: object = (),
) -> ModelReport:
    """Reports on a model and its smaller self: sizes, accuracy, files, speed, layers.

    Give `path` for a page to look at or to send on, which holds its pictures and needs no network. Neither model
    changes.

    Args:
        before: The model before, built; or the path of its `.keras` file.
        after: The smaller model, built; or the path of its `.keras` file.
        data: What quality is measured on, as `fit` takes it: `(x, y)` or `(x, y, sample_weight)`, a `tf.data.Dataset`
            or a `keras.utils.PyDataset`. Inputs alone, an array, a list or dictionary of arrays or a `tf.data.Dataset`,
            tell how far files agree with their models, and no metrics. Optional.
        path: Where to write: `.html` for the page, `.md` for a model card, `.json` for the data. Optional.
        files: LiteRT files made from `after`, a path or a list of paths; or a dictionary of such with the keys
            `"before"` and `"after"`. They are weighed and timed, and with data checked against their models.
        metrics: As for `compile(metrics=...)`, or a single one. Defaults to the accuracy, or to the mean absolute error
            where the targets are arrays of real numbers that do not add up to 1.
        made_by: What made the smaller model, one or a list: a pruning callback after its `fit`, a `PruningPlan`, a
            `Trajectory`, or what `keras_slim.rewriting.describe` returned. They tell what was left whole, and why.

    Returns:
        A `ModelReport`: data, a table when printed; `write` makes the page and the model card.

    Raises:
        ExportError: If a file does not load, or has other inputs or outputs than its model.
        FileNotFoundError: If there is no such file.
        TypeError: If `made_by` holds anything else.
        ValueError: If a model is not built or its inputs have dimensions of unknown size, the data does not fit, a
            metric is unknown, or nothing can be written at `path`.

    Example:

    >>> import keras, keras_slim as slim
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(32), keras.layers.Dense(2)])
    >>> found = slim.report(model, slim.prune(model, ratio=0.5))
    >>> found.sentence()
    'Parameters -49.6%, multiply-accumulates -50.0%, weights in memory -49.6%.'
    """
    path = None if path is None else check_path(path, _OWNER)
    metrics = _usual_metric(data) if metrics is None else check_metrics(metrics, _OWNER)
    paths = _files_by_side(files)
    steps, left, trajectory, description = _told(made_by)
    models = {"before": _model(before, "before"), "after": _model(after, "after")}
    model_bytes = {side: _bytes_of(given) for side, given in (("before", before), ("after", after))}
    quality = {side: _metrics_of(model, data, metrics) for side, model in models.items()}
    found = [_file_report(each, side, models[side], data, metrics) for side in paths for each in paths[side]]
    values = {side: kernel_values(model) for side, model in models.items()}
    rows = (*_size_rows(models, model_bytes, values), *_file_rows(found), *_quality_rows(quality, found))
    name = models["after"].name
    made = ModelReport(
        name=name,
        comparison=Comparison(rows, title=name),
        widths=_widths(*models.values()),
        files=tuple(found),
        samples=_count(data, found),
        weights=values["after"],
        left=left,
        steps=steps,
        trajectory=trajectory,
        description=description,
        environment=environment(),
    )
    if path is not None:
        made.write(path)
    return made


def _model(given, name):
    return readable(_loaded(given, name) if isinstance(given, str | os.PathLike) else given, _OWNER)


def _loaded(given, name):
    if not os.path.isfile(given):
        raise FileNotFoundError(f"There is no file {os.fspath(given)}. Give `{name}` as a model or a .keras file.")
    try:
        return keras.saving.load_model(given, compile=False, safe_mode=True)
    except Exception as error:
        raise ValueError(
            f"Keras cannot load {os.fspath(given)}: {first_sentence(error)} Give `{name}` as a model, or as a file "
            "that `model.save('model.keras')` wrote; layers of your own must be registered first."
        ) from error


def _bytes_of(given):
    return os.path.getsize(given) if isinstance(given, str | os.PathLike) else None


def _files_by_side(files):
    """Returns lists of paths by the side they belong to."""
    sides = files if isinstance(files, dict) else {"after": files}
    if not set(sides) <= {"before", "after"}:
        expected = "paths, or a dictionary with the keys 'before' and 'after'"
        raise ValueError(invalid_argument("files", _OWNER, expected=expected, received=sorted(sides)))
    listed = {side: [given] if isinstance(given, str | os.PathLike) else list(given) for side, given in sides.items()}
    missing = [os.fspath(path) for paths in listed.values() for path in paths if not os.path.isfile(path)]
    if missing:
        raise FileNotFoundError(f"There is no file {missing[0]}. Give `files` as paths of LiteRT files.")
    return {side: listed[side] for side in ("before", "after") if side in listed}


def _told(made_by):
    """Returns steps, what was left, a trajectory and a description, out of what made the model."""
    steps, left, trajectory, description = [], [], None, None
    for each in made_by if isinstance(made_by, list | tuple) else [made_by]:
        if isinstance(each, PruningPlan):
            steps.append(_step_of_plan(each))
            left += each.whole
        elif isinstance(each, Trajectory):
            trajectory = each
        elif isinstance(each, ModelDescription):
            description = each
            left += [Whole((layer.path,), (layer.why,)) for layer in each.layers if layer.why]
        elif hasattr(each, "rounds_done"):
            steps += map(_step_of_round, each.rounds_done)
            plans = [done["plan"] for done in each.rounds_done if "plan" in done]
            left += plans[-1].whole if plans else ()
            trajectory = getattr(each, "trajectory", None) or trajectory
        else:
            expected = "a pruning callback after `fit`, a `PruningPlan`, a `Trajectory` or what `describe` returns"
            raise TypeError(invalid_argument("made_by", _OWNER, expected=expected, received=each))
    return tuple(steps), tuple(dict.fromkeys(left)), trajectory, description


def _step_of_plan(plan):
    settings = {name: value for name, value in plan.settings.items() if isinstance(value, str | int | float)}
    return {"step": "pruned", **settings, **plan.after.to_dict()}


def _step_of_round(done):
    plain = {name: value for name, value in done.items() if isinstance(value, str | int | float) and name != "seconds"}
    if "epoch" in plain:
        plain["epoch"] += 1  # as people count
    return plain


class _Measured(keras.Model):
    """A model to measure metrics on, without a loss, which Keras wants otherwise."""

    def compute_loss(self, *args, **kwargs):
        return keras.ops.zeros(())


def _metrics_of(model, data, metrics):
    """Returns the metrics of a model by name; none without targets."""
    if not _has_targets(data):
        return {}
    twin = _Measured(*endpoints(model), name="measured")  # so that the model stays compiled as it is
    metrics = metrics if isinstance(metrics, list | tuple | dict) else [metrics]
    # On CPUs, compiling takes TensorFlow longer than it saves; without it, JAX goes one operation at a time.
    twin.compile(metrics=made_anew(metrics, _OWNER), jit_compile=keras.backend.backend() == "jax")
    arrays = data if isinstance(data, tuple) else (data,)
    names = ("x", "y", "sample_weight")
    given = dict(zip(names, arrays, strict=False))
    if isinstance(data, tuple):
        given["batch_size"] = _BATCH_SIZE
    try:
        found = twin.evaluate(**given, return_dict=True, verbose=0)
    except Exception as error:
        expected = f"samples and targets that the model '{model.name}' and the metrics {metrics} take"
        hint = f"Keras said: {in_short(error)}."
        raise ValueError(
            invalid_argument("data", _OWNER, expected=expected, received=type(data).__name__, hint=hint)
        ) from error
    return {name: float(np.mean(value)) for name, value in found.items() if name != "loss"}


def _has_targets(data):
    """Returns whether data is more than inputs: a pair of arrays, or a set of batches that is not known to be less."""
    if isinstance(data, tuple):
        return len(data) > 1 and data[1] is not None
    spec = getattr(data, "element_spec", (None, None))  # of a `tf.data.Dataset`
    return _comes_in_batches(data) and isinstance(spec, tuple) and len(spec) > 1


def _comes_in_batches(data):
    return data is not None and not isinstance(data, tuple | list | dict) and not hasattr(data, "shape")


def _usual_metric(data):
    """Returns the metric that goes with the targets: an accuracy says nothing of real numbers."""
    if not isinstance(data, tuple) or not _has_targets(data):
        return "accuracy"
    return "mae" if all(_are_real(np.asarray(each)) for each in keras.tree.flatten(data[1])) else "accuracy"


def _are_real(targets):
    is_whole = targets.dtype.kind != "f" or np.all(targets == np.rint(targets))
    return not is_whole and not np.allclose(targets.sum(axis=-1), 1)  # what adds up to 1 are shares of classes


def _inputs(data):
    return data[0] if isinstance(data, tuple) else data


def _count(data, files):
    """Returns the number of samples; None where there are none, or nobody has counted a data set."""
    if data is None:
        return None
    if _comes_in_batches(data):
        return next((file.agreement.samples for file in files if file.agreement), None)
    return num_samples(keras.tree.map_structure(np.asarray, _inputs(data)))


def _file_report(path, side, model, data, metrics):
    file = TfliteFile(path)
    latency = time_file(file, 1, _TIMED_RUNS, _WARMUP_RUNS)
    found, agreement = {}, None
    if _has_targets(data):
        evaluation = evaluate_tflite(path, data, metrics, model=model, verbose=0)
        found = {name: float(np.mean(value)) for name, value in evaluation.metrics.items()}
        agreement = evaluation.agreement
    elif data is not None:
        agreement = verify_tflite(model, path, _inputs(data), tolerance=-float("inf"))
    return FileReport(os.path.basename(path), side, file.quantize, *weigh(path), latency, found, agreement)


def _size_rows(models, model_bytes, values):
    costs = [profile(model) for model in models.values()]
    rows = [
        ComparisonRow("parameters", *(cost.parameters for cost in costs)),
        ComparisonRow("multiply-accumulates", *(cost.macs for cost in costs)),
    ]
    if any(cost.multiplications != cost.macs for cost in costs):
        rows.append(ComparisonRow("multiplications", *(cost.multiplications for cost in costs)))
        rows.append(ComparisonRow("additions", *(cost.additions for cost in costs)))
    rows.append(ComparisonRow("weights in memory", *(cost.bytes for cost in costs), "bytes"))
    if any(cost.bits < 8 * cost.bytes for cost in costs):
        rows.append(ComparisonRow("weights as rounded", *(-(-cost.bits // 8) for cost in costs), "bytes"))
    zeros = [_zeros(values[side]) for side in models]
    if max(zeros) > 0.01:
        rows.append(ComparisonRow(ZEROS, *zeros, "share"))
    if any(each.are_shared for side in models for each in values[side]):
        counts = (sum(each.distinct for each in values[side]) for side in models)
        rows.append(ComparisonRow("distinct values in kernels", *counts))
    if any(model_bytes.values()):
        rows.append(ComparisonRow(".keras file", *model_bytes.values(), "bytes"))
    return rows


def _zeros(values):
    return 1 - sum(each.kept for each in values) / (sum(each.size for each in values) or 1)


def _file_rows(files):
    pairs = list(_pairs(files))
    return [
        *(ComparisonRow(f"{label} file", *_each(pair, lambda file: file.bytes), "bytes") for label, pair in pairs),
        *(
            ComparisonRow(f"{label} file, after gzip", *_each(pair, lambda file: file.gzip_bytes), "bytes")
            for label, pair in pairs
        ),
        *(
            ComparisonRow(f"{label} file, one sample", *_each(pair, lambda file: file.latency.median_ms), "ms")
            for label, pair in pairs
        ),
    ]


def _quality_rows(quality, files):
    names = dict.fromkeys(name for side in quality.values() for name in side)
    rows = [ComparisonRow(_words(name), *(side.get(name) for side in quality.values()), _unit(name)) for name in names]
    pairs = list(_pairs(files))
    for label, pair in pairs:
        for name in dict.fromkeys(name for file in pair.values() for name in file.metrics):
            values = _each(pair, lambda file, name=name: file.metrics.get(name))
            rows.append(ComparisonRow(f"{_words(name)}, {label} file", *values, _unit(name)))
    for label, pair in pairs:
        if any(file.agreement for file in pair.values()):
            decibels = _each(pair, lambda file: file.agreement and file.agreement.sqnr_db)
            rows.append(ComparisonRow(f"{label} file and model agree", *decibels, "dB"))
    return rows


def _pairs(files):
    """Yields a label and the files of both sides that hold the same, by side; several of a kind in their order."""
    kinds = dict.fromkeys(file.precision for file in files)
    for kind in kinds:
        of_sides = {side: [f for f in files if (f.precision, f.side) == (kind, side)] for side in ("before", "after")}
        count = max(map(len, of_sides.values()))
        for place in range(count):
            pair = {side: found[place] for side, found in of_sides.items() if place < len(found)}
            yield (kind if count == 1 else f"{kind} ({pair[max(pair, key=len)].name})"), pair


def _each(pair, measured):
    return tuple(measured(pair[side]) if side in pair else None for side in ("before", "after"))


def _words(metric):
    return metric.replace("_", " ")


def _unit(metric):
    return "share" if any(part in _SHARES for part in metric.lower().split("_")) else "number"


def _widths(before, after):
    old, new = widths(before), widths(after)
    return tuple(LayerWidth(name, old.get(name), new.get(name)) for name in {**old, **new})
