"""How good a file is: any metric of Keras over a data set, and what the file changes against its model."""

import os

import keras

from keras_slim.errors import invalid_argument
from keras_slim.export.agreement import Agreement, RunningComparison
from keras_slim.export.class_changes import ClassCounter
from keras_slim.export.compiled_metrics import CompiledMetrics, check_metrics, made_anew
from keras_slim.export.evaluation_report import Evaluation
from keras_slim.export.precision import is_float32
from keras_slim.export.samples import check_numbers
from keras_slim.export.signature import Signature, inputs_of_file, read_signature, valid_name
from keras_slim.export.tflite_file import TfliteFile, in_number_order, match_names, step_of
from keras_slim.export.verification import BATCH_SIZE, check_shapes, file_answers, flat_answers, names_of, outputs_of
from keras_slim.progress_display import progress
from keras_slim.scoring.data import NO_BATCH, as_batches, flat_inputs, num_samples, number_of_batches
from keras_slim.validation import check_count

_OWNER = "evaluate_tflite"


def evaluate_tflite(
    path: str | os.PathLike,
    data: object,
    metrics: object = "accuracy",
    model: keras.Model | None = None,
    threads: int = 1,
    steps: int | None = None,
    verbose: int = 1,
    signature: str | None = None,
) -> Evaluation:
    """Measures any metric of Keras on a LiteRT file, over a data set.

    Numbers go in as the model would take them: what an int8 file stores them as is done here, and undone for what comes
    out. With the `model` the same metrics are measured on it too, and the report tells how far the two are apart, and,
    where samples are put in classes, what the file changes class by class.

    Args:
        path: Path of the file.
        data: Samples with targets, as `fit` takes them: `(x, y)` or `(x, y, sample_weight)`, each an array or a
            structure of arrays; or a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator of such batches.
            Without a `model`, several inputs come in a dictionary by the names they have in the file.
        metrics: As for `compile(metrics=...)`, so that weights of samples do not count: names, objects or functions, in
            a list, or in a list or dictionary by output. A single one needs no list.
        model: The Keras model that the file was made from. What it masks then counts in no metric; the file alone tells
            of no masks, so all counts. Optional.
        threads: Number of threads the runtime may use.
        steps: Number of batches to take. Endless data needs it, and so does a generator. Defaults to all.
        verbose: 0 for silence, 1 to show how far work has come that takes more than five seconds.
        signature: Which of the file's signatures is meant, where it has several.

    Returns:
        An `Evaluation`: the metrics of the file; with a `model`, also its own, the agreement of both, and the changes
        class by class.

    Raises:
        FileNotFoundError: If there is no such file.
        ExportError: If the file does not load, or has other inputs or outputs than the model.
        TypeError: If the data is nothing that `fit` takes.
        ValueError: If data or targets are missing or do not fit, a metric is unknown or does not fit, or the file has
            several signatures and none of them is named.

    Example:

    >>> print(evaluate_tflite("digits.tflite", (x_test, y_test), model=model))  # doctest: +SKIP
    >>> evaluate_tflite("digits.tflite", (x_test, y_test)).metrics["accuracy"] > 0.97  # doctest: +SKIP
    True
    """
    check_count(threads, "threads", _OWNER)
    check_metrics(metrics, _OWNER)
    takes = None if model is None else read_signature(model, _OWNER)
    file = TfliteFile(path, threads, signature)
    takes = takes or _signature_of(file)
    check_numbers(takes, _OWNER)
    reader = _hands_on(takes) if model is None or not hasattr(model, "inputs") else model
    size = reader.inputs[0].shape[0] or BATCH_SIZE
    batches = as_batches(
        data, reader, owner=_OWNER, targets=True, batch_size=size, steps=steps, reason="to measure metrics"
    )
    if model is None and isinstance(data, tuple):
        _check_named(data[0], takes)
    names = [model_input.name for model_input in takes.inputs]
    sides = _Sides(file, model, takes, metrics)
    with progress("Evaluation", "batches", verbose) as counted:
        for x, y, sample_weight in counted(batches(), number_of_batches(data, size, steps)):
            if model is None:
                _check_named(x, takes)
            arrays = map(keras.ops.convert_to_numpy, flat_inputs(reader, x))
            sides.add(dict(zip(names, arrays, strict=True)), y, sample_weight)
    return sides.result()


class _Sides:
    """The file, and perhaps the model, with what is measured on each."""

    def __init__(self, file, model, signature, metrics):
        self._file, self._model, self._signature, self._metrics = file, model, signature, metrics
        self._samples = 0
        self._of_file = self._of_model = None
        self._comparisons, self._classes = {}, {}
        self._masked_alike = _MaskedAlike()

    def add(self, samples, targets, sample_weight):
        self._samples += num_samples(samples)
        received = file_answers(self._file, samples)
        if self._model is None:
            names = in_number_order(received)
            answers = [received[name] for name in names]
            answers = answers if len(answers) > 1 else answers[0]
            self._measure_file(targets, answers, sample_weight, [*map(valid_name, names)])
            return
        outputs = outputs_of(self._model, self._signature, samples)
        theirs = match_names(names_of(outputs), list(received))
        expected = flat_answers(outputs)
        received = {name: received[theirs[name]] for name in theirs}
        names = getattr(self._model, "output_names", None) or list(theirs)
        names = names if len(set(names)) == len(theirs) else list(theirs)
        answers = zip(received.values(), keras.tree.flatten(outputs), strict=True)
        answers = keras.tree.pack_sequence_as(outputs, [self._masked_alike(list(pair)) for pair in answers])
        self._measure_file(targets, answers, sample_weight, names)
        if self._of_model is None:
            self._of_model = CompiledMetrics(made_anew(self._metrics, _OWNER), names, _OWNER)
        self._of_model.add(targets, outputs, sample_weight)
        keys = list(theirs) if isinstance(outputs, dict) else names
        self._compare(theirs, expected, received, _by_output(targets, keys))

    def _measure_file(self, targets, answers, sample_weight, names):
        if self._of_file is None:
            self._of_file = CompiledMetrics(made_anew(self._metrics, _OWNER), names, _OWNER)
        self._of_file.add(targets, answers, sample_weight)

    def _compare(self, theirs, expected, received, targets):
        for (name, their_name), answer, target in zip(theirs.items(), expected, targets, strict=True):
            check_shapes(name, answer, received[name])
            if name not in self._comparisons:
                self._comparisons[name] = RunningComparison(name, step_of(self._file.outputs[their_name]))
                self._classes[name] = ClassCounter(name)
            self._comparisons[name].add(answer, received[name])
            if target is not None:
                self._classes[name].add(keras.ops.convert_to_numpy(target), answer, received[name])

    def result(self):
        if not self._samples:
            raise ValueError(NO_BATCH)
        file = self._file
        found = Evaluation(file.path, file.quantize, self._samples, self._of_file.result())
        if self._model is None:
            return found
        return Evaluation(
            file.path,
            file.quantize,
            self._samples,
            found.metrics,
            self._of_model.result(),
            Agreement(
                self._samples,
                tuple(comparison.result() for comparison in self._comparisons.values()),
                file.quantize,
                file.operations,
                file.partitions,
                file.delegated,
                half_precision=not is_float32(self._model),
            ),
            tuple(change for counter in self._classes.values() for change in counter.result()),
        )


class _MaskedAlike(keras.layers.Layer):
    """Hands on what a file answers, with the mask that Keras's answers have: metrics leave out the same places."""

    def __init__(self):
        super().__init__(autocast=False)
        self.supports_masking = True

    def call(self, both):
        answers, _ = both
        return answers

    def compute_mask(self, both, masks):
        _, mask = masks
        return mask


def _signature_of(file):
    """Returns the `Signature` of a file: one input, or a dictionary by name."""
    inputs = inputs_of_file(file)
    return Signature(inputs if len(inputs) > 1 else next(iter(inputs.values())))


def _hands_on(signature):
    """Returns a model with the inputs of a signature, that data can be checked against."""
    tensors = {
        model_input.name: keras.Input(model_input.shape, dtype=model_input.dtype, name=model_input.name)
        for model_input in signature.inputs
    }
    return keras.Model(signature.pack(tensors), [keras.layers.Identity()(each) for each in tensors.values()])


def _check_named(x, signature):
    """Raises `ValueError` if several inputs come without names: the order they have in a file is not the model's."""
    names = [model_input.name for model_input in signature.inputs]
    if len(names) > 1 and not isinstance(x, dict):
        hint = "Or give the `model`, in whose order they are."
        expected = f"a dictionary of the inputs {sorted(names)}"
        received = f"a {type(x).__name__} of {len(keras.tree.flatten(x))}"
        raise ValueError(invalid_argument("data", _OWNER, expected=expected, received=received, hint=hint))


def _by_output(targets, names):
    """Returns the targets of each output in order; `None` for what has none, or where it is not clear."""
    if isinstance(targets, dict) and set(targets) <= set(names):
        return [targets.get(name) for name in names]
    flat = keras.tree.flatten(targets)
    return flat if len(flat) == len(names) else [None] * len(names)
