"""Metrics of files: those of Keras, over data in any form, and what the file changes class by class."""

import json
import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_slim as slim
from keras_slim.errors import ExportError
from keras_slim.export.tflite_file import TfliteFile
from keras_slim.export.verification import file_answers

rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def labels(classifier, pictures):
    """Classes that the classifier gets right for most of the pictures."""
    found = np.asarray(classifier(pictures)).argmax(axis=1)
    found[::5] = (found[::5] + 1) % 5
    return found


def answers(path, x):
    return file_answers(TfliteFile(path), {"pictures": x})["output_0"]


def test_metrics_are_those_of_keras(classifier, exported, pictures, labels):
    metrics = ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2)]
    compiled = keras.Model(classifier.inputs, classifier.outputs)
    compiled.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=metrics)
    expected = compiled.evaluate(pictures, labels, verbose=0, return_dict=True)
    found = slim.evaluate_tflite(exported[None].path, (pictures, labels), metrics)
    assert found.metrics == {name: pytest.approx(expected[name]) for name in expected if name != "loss"}
    assert (found.samples, found.model_metrics, found.agreement, found.classes) == (24, None, None, ())


def test_an_int8_file_is_given_and_asked_for_real_numbers(exported, pictures, labels):
    path = exported["int8"].path
    right = np.mean(answers(path, pictures).argmax(axis=1) == labels)
    assert slim.evaluate_tflite(path, (pictures, labels)).metrics == {"accuracy": pytest.approx(right)}


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = slice(8 * index, 8 * index + 8)
        return self.x[rows], self.y[rows]


@pytest.mark.parametrize(
    ("form", "options"),
    [
        (lambda x, y: (x, y), {}),
        (lambda x, y: ({"pictures": x}, y), {}),
        (lambda x, y: (x, y, np.ones(24)), {}),
        (lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(7), {}),
        (Batches, {}),
        (lambda x, y: iter([(x[:10], y[:10]), (x[10:], y[10:])]), {"steps": 2}),
    ],
    ids=["arrays", "dictionary", "weights", "dataset", "PyDataset", "generator"],
)
def test_data_come_in_any_form_that_fit_takes(form, options, classifier, exported, pictures, labels):
    path = exported[None].path
    expected = np.mean(answers(path, pictures).argmax(axis=1) == labels)
    found = slim.evaluate_tflite(path, form(pictures, labels), model=classifier, **options)
    assert found.metrics == {"accuracy": pytest.approx(expected)}
    assert found.samples == found.agreement.samples == 24


def test_beside_the_model(classifier, stranger, exported, pictures, labels):
    # the file of one model beside another: many answers differ
    found = slim.evaluate_tflite(exported[None].path, (pictures, labels), model=stranger, threads=2)
    by_model, by_file = np.asarray(stranger(pictures)).argmax(1), np.asarray(classifier(pictures)).argmax(1)
    assert found.model_metrics["accuracy"] == pytest.approx(np.mean(by_model == labels))
    assert found.metrics["accuracy"] == pytest.approx(np.mean(by_file == labels))
    assert found.changed == np.sum(by_model != by_file) > 0
    for each in found.classes:
        ours = labels == each.label
        assert each.samples == ours.sum()
        assert each.model_accuracy == np.mean(by_model[ours] == each.label)
        assert each.file_accuracy == np.mean(by_file[ours] == each.label)
        assert each.changed == np.sum((by_model != by_file)[ours])
    agreement = slim.verify_tflite(stranger, exported[None].path, pictures, tolerance=-np.inf)
    assert found.agreement.operations == agreement.operations
    for name in ("sqnr_db", "max_abs_error", "same_class", "samples", "partitions", "quantize"):
        assert getattr(found.agreement, name) == pytest.approx(getattr(agreement, name))


def test_one_hot_targets_are_classes_too(classifier, exported, pictures, labels):
    sparse = slim.evaluate_tflite(exported["int8"].path, (pictures, labels), model=classifier)
    one_hot = slim.evaluate_tflite(exported["int8"].path, (pictures, np.eye(5)[labels]), model=classifier)
    assert one_hot.classes == sparse.classes != ()
    assert one_hot.metrics == sparse.metrics


def test_the_tables_and_json(classifier, exported, pictures, labels):
    found = slim.evaluate_tflite(exported["int8"].path, (pictures, labels), model=classifier)
    text = str(found)
    accuracy = found.metrics["accuracy"]
    row = next(line.split() for line in text.splitlines() if line.split()[:1] == ["accuracy"])
    assert row == ["accuracy", f"{found.model_metrics['accuracy']:.4f}", f"{accuracy:.4f}", row[3]]
    assert float(row[3]) == pytest.approx(accuracy - found.model_metrics["accuracy"], abs=1e-4)
    each = found.classes[2]
    row = next(line.split() for line in text.splitlines() if line.split()[:1] == [str(each.label)])
    assert row[1:4] == [str(each.samples), f"{each.model_accuracy:.1%}", f"{each.file_accuracy:.1%}"]
    assert row[-1] == str(each.changed)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["classes"][2]["file_right"] == each.file_right
    assert plain["agreement"]["samples"] == 24
    assert "dB" not in str(slim.evaluate_tflite(exported["int8"].path, (pictures, labels)))


@pytest.fixture(scope="module")
def branching(tmp_path_factory):
    """A model of two inputs and three outputs, with its file: scores, a real number, and the place of the best."""
    keras.utils.set_random_seed(0)
    first, second = keras.Input((3,), name="z"), keras.Input((4,), name="a")
    scores = layers.Dense(3, activation="softmax", name="scores")(layers.Concatenate()([first, second]))
    outputs = {"scores": scores, "size": layers.Dense(1)(second), "best": ops.argmax(scores, axis=-1)}
    model = keras.Model([first, second], outputs)
    path = tmp_path_factory.mktemp("branching") / "a.tflite"
    x = [rng.normal(size=(11, 3)).astype("float32"), rng.normal(size=(11, 4)).astype("float32")]
    slim.export_tflite(model, path, data=x, verbose=0)
    return model, path, x, {key: np.asarray(value) for key, value in model(x).items()}


def test_several_inputs_and_outputs(branching):
    model, path, x, y = branching
    targets = {"scores": y["scores"].argmax(1), "size": y["size"] + 2, "best": (y["best"] + 1) % 3}
    metrics = {"scores": ["accuracy"], "size": ["mae", "mse"]}
    found = slim.evaluate_tflite(path, (x, targets), metrics, model=model)
    assert found.metrics == found.model_metrics
    assert found.metrics == {
        "scores_accuracy": 1,
        "size_mae": pytest.approx(2, rel=1e-5),
        "size_mse": pytest.approx(4, rel=1e-5),
    }
    right = {each.output: each.file_right == each.samples for each in found.classes}
    assert right == {"scores": True, "best": False}
    # alone, the inputs are told by name
    alone = slim.evaluate_tflite(path, ({"z": x[0], "a": x[1]}, targets), metrics)
    assert alone.metrics == found.metrics
    with pytest.raises(ValueError, match=r"a dictionary of the inputs \['a', 'z'\].*a list of 2.*Or give the `model`"):
        slim.evaluate_tflite(path, (x, targets), metrics)
    with pytest.raises(ValueError, match=r"one for each of \['best', 'scores', 'size'\] in a list"):
        slim.evaluate_tflite(path, (dict(zip("za", x, strict=True)), targets))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.dense = layers.Flatten(), layers.Dense(5)

    def call(self, inputs):
        return self.dense(self.flat(inputs))


def test_a_subclassed_model(pictures, labels, tmp_path):
    model = Subclassed()
    by_model = np.asarray(model(pictures)).argmax(1)
    slim.export_tflite(model, tmp_path / "a.tflite", data=pictures, verbose=0)
    found = slim.evaluate_tflite(tmp_path / "a.tflite", (pictures, labels), model=model)
    assert found.metrics == found.model_metrics == {"accuracy": pytest.approx(np.mean(by_model == labels))}


def test_a_probability_is_one_of_two_classes(tmp_path):
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, activation="sigmoid")])
    model.set_weights([np.array([[9.0], [0.0]]), np.zeros(1)])
    x = np.array([[1, 0], [-1, 0], [1, 1], [-1, 1]], "float32")
    slim.export_tflite(model, tmp_path / "a.tflite", data=x, verbose=0)
    found = slim.evaluate_tflite(tmp_path / "a.tflite", (x, np.array([1, 0, 0, 0])), model=model)
    assert [(each.label, each.samples, each.file_right) for each in found.classes] == [(0, 3, 2), (1, 1, 1)]
    # other targets make it a number like any other
    assert slim.evaluate_tflite(tmp_path / "a.tflite", (x, np.array([1, 0, 2, 0])), "mae", model=model).classes == ()


@pytest.fixture(scope="module")
def four_at_a_time(classifier, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("batch") / "a.tflite")
    signature = [tf.TensorSpec((4, 6, 6, 2), name="pictures")]
    classifier.export(path, format="litert", verbose=False, input_signature=signature)
    return path


def test_a_file_that_takes_several_samples_at_a_time(four_at_a_time, classifier, exported, pictures, labels):
    x, y = pictures[:10], labels[:10]
    assert TfliteFile(four_at_a_time).batch_size == 4
    np.testing.assert_allclose(answers(four_at_a_time, x), answers(exported[None].path, x), atol=1e-5)
    assert slim.verify_tflite(classifier, four_at_a_time, x).sqnr_db > 100
    found = slim.evaluate_tflite(four_at_a_time, (x, y), model=classifier)
    assert found.samples == sum(each.samples for each in found.classes) == 10
    assert found.metrics == slim.evaluate_tflite(exported[None].path, (x, y)).metrics


def test_a_metric_may_have_several_numbers(exported, pictures, labels):
    found = slim.evaluate_tflite(exported[None].path, (pictures, np.eye(5)[labels]), keras.metrics.F1Score())
    (scores,) = found.metrics.values()
    assert len(scores) == 5
    assert f"{np.mean(scores):.4f}, mean of 5" in str(found)


def test_metrics_of_the_user_are_left_as_they_were(classifier, exported, pictures, labels):
    metric = keras.metrics.SparseCategoricalAccuracy()
    first, again = (
        slim.evaluate_tflite(exported[None].path, (pictures, labels), [metric], model=classifier) for _ in range(2)
    )
    assert first.metrics == again.metrics
    assert metric.result() == 0


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (lambda x, y: x, {}, "targets too"),
        (lambda x, y: None, {}, "inputs and targets"),
        (lambda x, y: (x[:, :5], y), {}, r"\(None, 6, 6, 2\)"),
        (lambda x, y: (x, y), {"metrics": "acuracy"}, "`metrics` of `evaluate_tflite`.*'acuracy'.*keras.metrics"),
        (lambda x, y: (x, np.ones((24, 3))), {"metrics": ["mse"]}, r"\(24, 5\).*Keras said"),
        (lambda x, y: iter([]), {"steps": 1}, "no batch"),
        (lambda x, y: (x, y), {"threads": 0}, "`threads` of `evaluate_tflite`"),
    ],
)
def test_what_does_not_fit_is_told(data, options, message, exported, pictures, labels):
    with pytest.raises(ValueError, match=message):
        slim.evaluate_tflite(exported[None].path, data(pictures, labels), **options)


def test_a_metric_without_a_config_cannot_be_taken_twice(classifier, exported, pictures, labels):
    class Odd(keras.metrics.Mean):
        def __init__(self, needed):
            super().__init__()

    with pytest.raises(ValueError, match="made anew from their config.*get_config` of Odd"):
        slim.evaluate_tflite(exported[None].path, (pictures, labels), Odd(1), model=classifier)


def test_a_file_of_another_shape_is_told(exported, pictures):
    wider = keras.Sequential([keras.Input((6, 6, 2)), layers.Flatten(), layers.Dense(6)])
    with pytest.raises(ExportError, match=r"\(24, 6\) in the model and \(24, 5\) in the file"):
        slim.evaluate_tflite(exported[None].path, (pictures, np.zeros(24)), model=wider)


@pytest.mark.parametrize("verbose", [0, 1])
def test_long_work_shows_how_far_it_is(verbose, monkeypatch, capsys, exported, pictures, labels):
    def slow():
        for _ in range(3):
            time.sleep(0.05)
            yield pictures[:2], labels[:2]

    monkeypatch.setattr("keras_slim.progress_display.SILENT_SECONDS", 0.02)
    slim.evaluate_tflite(exported[None].path, slow(), steps=3, verbose=verbose)
    shown = capsys.readouterr().out
    assert re.search(r"Evaluation: \d of 3 batches", shown) if verbose else shown == ""


def test_what_the_model_masks_counts_on_neither_side(tmp_path):
    words = keras.Input((4,), dtype="int32")
    masked = layers.Embedding(5, 3, mask_zero=True)(words)
    model = keras.Model(words, layers.Dense(2)(masked))
    model.set_weights([rng.normal(size=weights.shape) for weights in model.get_weights()])
    x = np.array([[1, 2, 0, 0], [3, 4, 1, 0]])
    y = np.asarray(model(x)).argmax(axis=-1)
    y[x == 0] = 1 - y[x == 0]  # wrong where no word is
    y[0, 0] = 1 - y[0, 0]
    slim.export_tflite(model, tmp_path / "a.tflite", data=x, verbose=0)
    found = slim.evaluate_tflite(tmp_path / "a.tflite", (x, y), model=model)
    assert found.metrics == found.model_metrics == {"accuracy": pytest.approx(4 / 5)}
    alone = slim.evaluate_tflite(tmp_path / "a.tflite", (x, y))
    assert alone.metrics == {"accuracy": pytest.approx(4 / 8)}


@pytest.mark.parametrize("dtype", ["float16", "mixed_bfloat16"])
def test_a_model_of_half_precision_has_classes_too(dtype, tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, dtype=dtype)])
    x = rng.normal(size=(6, 3)).astype("float32")
    slim.export_tflite(model, tmp_path / "a.tflite", data=x, verbose=0)
    found = slim.evaluate_tflite(tmp_path / "a.tflite", (x, np.arange(6) % 2), model=model)
    assert [(each.label, each.samples) for each in found.classes] == [(0, 3), (1, 3)]
