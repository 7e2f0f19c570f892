"""Where accuracy is lost, and which layers are left real for it."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import keras_slim as slim
from keras_slim.errors import UnreachableTargetError, UnsupportedLayerError
from keras_slim.quantizers import Int
from keras_slim.rewriting.switches import Switches

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(100, 6)).astype("float32")
array = keras.ops.convert_to_numpy
PER_TENSOR = Int(per_channel=False)


HOLDING = {
    "quantize_within": lambda model, data: slim.quantize_within(model, data, 0.1),
    "plan_factorization": lambda model, data: slim.plan_factorization(model, max_drop=0.1, validation_data=data),
    "Recipe": lambda model, data: slim.Recipe([slim.recipes.Quantize()], max_drop=0.1).apply(model, data, data),
}


def with_a_bad_layer():
    """A network of which layer `b` has one huge weight, on an input that is always 0: in one range it hides all others.

    It is right about all of `X`, by the labels that come with it.
    """
    keras.utils.set_random_seed(1)
    stack = [layers.Dense(16, "relu", name=name, bias_initializer="normal") for name in "abc"]
    model = keras.Sequential([keras.Input((6,)), *stack, layers.Dense(3, name="head")])
    a, b = model.get_layer("a"), model.get_layer("b")
    kernel, bias = a.get_weights()
    kernel[:, 0], bias[0] = 0, -1
    a.set_weights([kernel, bias])
    kernel, bias = b.get_weights()
    kernel[0, 0] = 1000
    b.set_weights([kernel, bias])
    kernel, bias = model.get_layer("c").get_weights()
    kernel[0] = 0  # where channels have ranges of their own, it hides nothing that matters
    model.get_layer("c").set_weights([kernel, bias])
    head = model.get_layer("head")
    head.bias.assign(-keras.ops.mean(model(X), axis=0))  # all classes come
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, np.argmax(array(model(X)), axis=-1)


def everything(model):
    return [array(variable) for variable in (*model.variables, *model.metrics_variables)]


def accuracy_of(twin, y):
    return float(np.mean(np.argmax(array(twin(X)), axis=-1) == y))


def decibels(expected, received):
    expected, received = array(expected), array(received)
    return 10 * np.log10(np.sum(np.square(expected)) / np.sum(np.square(np.subtract(expected, received))))


def test_the_report_says_what_a_loop_over_models_would():
    model, y = with_a_bad_layer()
    report = slim.quantization_report(model, (X, y), kernel=PER_TENSOR)
    whole = slim.calibrate(slim.quantize(model, PER_TENSOR, "int", skip=()), X)
    whole.compile(model.optimizer.__class__(), model.loss, metrics=["accuracy"])
    assert (report.metric, report.samples, report.real) == ("accuracy", 100, 1.0)
    assert report.quantized.metric == pytest.approx(whole.evaluate(X, y, verbose=0)[1], abs=1e-6)
    assert report.quantized.sqnr_db == pytest.approx(decibels(model(X), whole(X)), abs=0.01)
    found = {layer.path: layer for layer in report.layers}
    assert {*found} == {"a", "b", "c", "head"}
    for path, layer in found.items():
        for measured, is_alone in ((layer.others, False), (layer.alone, True)):
            for each in whole.layers:
                each.rounding = "all" if (each.name.removesuffix("_quantize") == path) is is_alone else "nothing"
            assert measured.metric == pytest.approx(accuracy_of(whole, y), abs=1e-6)
            assert measured.sqnr_db == pytest.approx(decibels(model(X), whole(X)), abs=0.01)
        until = keras.Model(model.inputs[0], model.get_layer(path).output)
        rounded = whole if path == "head" else keras.Model(whole.inputs[0], whole.get_layer(path).output)
        assert layer.own_db == pytest.approx(decibels(until(X), rounded(X)), abs=0.01)  # with the range behind it


def test_a_layer_that_is_bad_comes_first_and_is_the_one_that_is_left_real(capsys):
    model, y = with_a_bad_layer()
    model.evaluate(X, y, verbose=0)
    before = everything(model)
    report = slim.quantization_report(model, (X, y), kernel=PER_TENSOR)
    worst, *others = report.layers
    assert worst.path == "b"
    assert worst.alone.metric < 0.9 < min(layer.alone.metric for layer in others)
    assert worst.others.metric > 0.95 > max(layer.others.metric for layer in others)
    twin = slim.quantize_within(model, (X, y), 0.05, kernel=PER_TENSOR)
    kinds = {layer.path: (layer.kind, layer.weights) for layer in slim.rewriting.describe(twin).layers}
    assert kinds["b"] == ("Dense", None)
    assert {kinds[path][0] for path in ("a", "c", "head")} == {"QuantDense"}
    assert accuracy_of(twin, y) >= 0.95
    assert "Left real, 1 of 4: 'b'. accuracy is " in capsys.readouterr().out
    for old, new in zip(before, everything(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_where_the_metric_holds_all_layers_round(capsys):
    model, y = with_a_bad_layer()
    twin = slim.quantize_within(model, (X, y), 0.05)  # per channel, the weight hides one channel alone
    assert all(layer.weights for layer in slim.rewriting.describe(twin).layers if layer.kind != "Quantize")
    assert twin.get_layer("a").rounding == "all"
    expected = slim.calibrate(slim.quantize(model, "int", "int", skip=()), X)
    np.testing.assert_array_equal(array(twin(X)), array(expected(X)))
    assert "All layers round: accuracy" in capsys.readouterr().out
    slim.quantize_within(model, (X, y), 0.05, verbose=0)
    assert capsys.readouterr().out == ""


def test_a_loss_may_rise_and_a_function_says_which_way_is_better():
    model, y = with_a_bad_layer()
    twin = slim.quantize_within(model, (X, y), 0.05, metric="loss", kernel=PER_TENSOR, verbose=0)
    assert type(twin.get_layer("b")) is layers.Dense
    losses = [float(array(model.loss(y, array(each(X))))) for each in (model, twin)]
    assert losses[1] <= losses[0] + 0.05

    def errors(y, answers):
        return np.mean(np.argmax(answers, axis=-1) != y)

    with pytest.raises(ValueError, match="`mode` of `quantize_within`.*'errors'"):
        slim.quantize_within(model, (X, y), 0.05, metric=errors)
    twin = slim.quantize_within(model, (X, y), 0.05, metric=errors, mode="min", kernel=PER_TENSOR, verbose=0)
    assert type(twin.get_layer("b")) is layers.Dense


def branched():
    """Two inputs and outputs, a model inside that is called twice, a sum, and an activation that comes apart."""
    image, more = keras.Input((6, 6, 2), name="image"), keras.Input((4,), name="more")
    inside = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(4, 3, padding="same", name="conv")], name="in")
    x = layers.Conv2D(4, 1, activation="silu", name="first")(image)
    x = layers.Add(name="sum")([x, inside(inside(x))])
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    both = layers.Concatenate()([x, layers.Dense(4, "relu", name="dense")(more)])
    return keras.Model([image, more], {"one": layers.Dense(2, name="one")(both), "two": layers.Dense(1, name="two")(x)})


def test_any_graph_and_any_data_are_taken():
    keras.utils.set_random_seed(0)
    model = branched()
    x = [RANDOM.normal(size=(20, 6, 6, 2)), RANDOM.normal(size=(20, 4))]
    y = {"one": RANDOM.normal(size=(20, 2)), "two": RANDOM.normal(size=(20, 1))}
    model.compile(loss="mse", metrics={"two": "mae"})
    report = slim.quantization_report(model, iter([(x, y)]), samples=16)
    assert (report.metric, report.samples) == ("two_mae", 16)
    answers = {name: array(value) for name, value in model([each[:16] for each in x]).items()}
    assert report.real == pytest.approx(np.mean(np.abs(answers["two"] - y["two"][:16])), rel=1e-5)
    assert {layer.path for layer in report.layers} == {"first", "in/conv", "sum", "dense", "one", "two"}
    assert all(15 < layer.alone.sqnr_db < 150 for layer in report.layers)
    kinds = {layer.path: layer.kind for layer in report.layers}
    assert (kinds["sum"], kinds["first"]) == ("Add", "Conv2D")
    again = slim.quantization_report(model, iter([(x, y)]), samples=16, metric="loss")
    mse = [np.mean(np.square(answers[name] - y[name][:16])) for name in ("one", "two")]
    assert again.real == pytest.approx(sum(mse), rel=1e-5)


def test_a_quantize_belongs_to_what_it_stands_behind():
    twin = slim.quantize(branched(), "int", "int", skip=())
    parts = Switches(twin, branched()).parts
    assert [layer.name for layer in parts["first"]] == ["first", "first_quantize", "first_quantize_1"]
    assert all(layer.name.startswith(path.split("/")[-1]) for path, each in parts.items() for layer in each)


def test_without_targets_or_a_compiled_model_noise_alone_is_told():
    model, y = with_a_bad_layer()
    expected = slim.quantization_report(model, (X, y)).quantized.sqnr_db
    plain = keras.Sequential([keras.Input((6,)), *model.layers])
    for report in (slim.quantization_report(model, X), slim.quantization_report(plain, (X, y))):
        assert (report.metric, report.real, report.quantized.metric) == (None, None, None)
        assert report.quantized.sqnr_db == pytest.approx(expected, abs=1e-6)
        assert "accuracy" not in str(report)


def test_a_model_that_rounds_is_looked_at_with_the_ranges_it_has():
    model, _ = with_a_bad_layer()
    twin = slim.calibrate(slim.quantize(model, PER_TENSOR, "int", skip=()), 3 * X)  # not the ranges of X
    before = everything(twin)
    report = slim.quantization_report(twin, X)
    assert report.layers[0].path == "b"
    assert report.quantized.sqnr_db == pytest.approx(decibels(model(X), twin(X)), abs=0.01)
    assert all(np.array_equal(*pair) for pair in zip(before, everything(twin), strict=True))


def test_as_words_and_as_plain_values():
    model, y = with_a_bad_layer()
    report = slim.quantization_report(model, (X, y), kernel=PER_TENSOR)
    again = json.loads(json.dumps(report.to_dict()))
    assert again["layers"][0]["alone"] == {
        "metric": report.layers[0].alone.metric,
        "sqnr_db": report.layers[0].alone.sqnr_db,
    }
    lines = str(report).splitlines()
    assert lines[0].startswith(
        f"Model '{model.name}', 100 samples: accuracy 1 real, {report.quantized.metric:.4f} rounded, "
    )
    assert lines[2].split() == ["layer", "type", "own", "dB", "accuracy", "dB", "accuracy", "dB"]
    assert [line.split()[0] for line in lines[3:]] == [layer.path for layer in report.layers]


@pytest.mark.parametrize("verb", ["quantization_report", "quantize_within"])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": None}, ValueError, "`data` of `{}`.*to measure"),
        ({"data": X, "metric": "accuracy"}, ValueError, r"`data` of `{}`.*targets too, `data=\(x, y\)`.*inputs only"),
        ({"data": iter(())}, ValueError, "no batch.*used up"),
        ({"data": (X[:, :2], X[:, 0])}, ValueError, "`data` of `{}`.*batches of shape"),
        ({"metric": "acuracy"}, ValueError, "`metric` of `{}`.*compiled with.*Did you mean 'accuracy'"),
        ({"metric": 3}, TypeError, "`metric` of `{}`.*a function"),
        ({"metric": lambda y, answers: answers, "mode": "max"}, ValueError, "`metric` of `{}`.*returns one number"),
        ({"samples": 0}, ValueError, "`samples` of `{}`"),
        ({"kernel": "itn"}, ValueError, "`kernel` of `quantize`.*Did you mean 'int'"),
        ({"model": "model"}, TypeError, "`model` of `{}`.*a Keras model"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(verb, change, error, message):
    model, y = with_a_bad_layer()
    given = {"model": model, "data": (X, y), **({"max_drop": 0.1, "mode": "max"} if verb == "quantize_within" else {})}
    if verb == "quantization_report":
        change = {name: value for name, value in change.items() if name != "mode"}
    with pytest.raises(error, match=message.format(verb)):
        getattr(slim, verb)(**{**given, **change})


@pytest.mark.parametrize("verb", [slim.quantization_report, lambda *args: slim.quantize_within(*args, 0.1)])
def test_a_model_without_a_layer_that_can_round_is_told(verb):
    model = keras.Sequential([keras.Input((6,)), layers.BatchNormalization()], name="bare")
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="a layer that can round, one of 'Conv1D', .*'bare' without"):
        verb(model, (X, X))


class Deciding(keras.Model):
    """Decides by values."""

    def call(self, x):
        return x if float(x[0, 0]) > 0 else -x


def test_a_model_that_cannot_be_read_is_told():
    model = Deciding(name="own")
    model(X)
    with pytest.raises(UnsupportedLayerError, match="own"):
        slim.quantization_report(model, X)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"max_drop": -0.1}, ValueError, "`max_drop` of `quantize_within`.*at least 0"),
        ({"max_drop": "1%"}, TypeError, "`max_drop` of `quantize_within`.*number"),
        ({"mode": "up"}, ValueError, "`mode` of `quantize_within`.*'max'"),
        ({"data": X}, ValueError, "`data` of `quantize_within`.*targets too"),
    ],
)
def test_what_is_wrong_with_a_drop_is_told(change, error, message):
    model, y = with_a_bad_layer()
    with pytest.raises(error, match=message):
        slim.quantize_within(**{"model": model, "data": (X, y), "max_drop": 0.1, **change})


@pytest.mark.parametrize("hold", HOLDING, ids=HOLDING)
def test_a_metric_that_is_no_number_from_the_start_is_told(hold):
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    with pytest.raises(ValueError, match=rf"`{hold}` cannot hold 'mae'.*nan for model '{model.name}'.*in the targets"):
        HOLDING[hold](model, (X, np.full((100, 1), np.nan)))


def test_a_drop_that_no_layer_keeps_is_told():
    model, y = with_a_bad_layer()
    with pytest.raises(
        UnreachableTargetError, match="cannot keep loss of model.*max_drop=0: .*more bits.*slim.quantize"
    ):
        slim.quantize_within(model, (X, y), 0, metric="loss", kernel=Int(2), activations=Int(2), verbose=0)


def test_neither_a_metric_nor_a_compiled_model_is_told():
    model, y = with_a_bad_layer()
    plain = keras.Sequential([keras.Input((6,)), *model.layers])
    with pytest.raises(ValueError, match="`metric` of `quantize_within`.*not compiled.*SparseCategoricalAccuracy"):
        slim.quantize_within(plain, (X, y), 0.1)
    with pytest.raises(ValueError, match="`metric` of `quantize_within`.*a function.*not compiled"):
        slim.quantize_within(plain, (X, y), 0.1, metric="accuracy")


def test_a_metric_of_keras_says_which_way_it_is_better():
    model, y = with_a_bad_layer()
    one_hot = np.eye(3)[y]
    plain = keras.Sequential([keras.Input((6,)), *model.layers])
    for metric, targets in ((keras.metrics.SparseCategoricalAccuracy(), y), (keras.metrics.F1Score("macro"), one_hot)):
        twin = slim.quantize_within(plain, (X, targets), 0.05, metric=metric, kernel=PER_TENSOR, verbose=0)
        assert type(twin.get_layer("b")) is layers.Dense


def test_a_model_that_rounds_already_is_not_rounded_again():
    model, y = with_a_bad_layer()
    with pytest.raises(ValueError, match="`model` of `quantize_within`.*rounds nothing yet.*slim.dequantize"):
        slim.quantize_within(slim.quantize(model, "int", "int"), (X, y), 0.1, metric=lambda y, p: 1.0, mode="max")
