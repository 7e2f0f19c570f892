"""Steps that work on what others have left, and what is said before any work begins rather than in the middle of it."""

import json
import math

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.errors import UnreachableTargetError, UnsupportedLayerError
from keras_slim.recipes import Compress, FineTune, Prune, Quantize, Share, Sparsify
from keras_slim.sparsity import kernels


def shared_kernels(model):
    """Returns how many different values each kernel has but zero, by the name of its layer."""
    every = kernels(model, trained_only=False)
    return {path.split("/")[-2]: len(np.unique(kernel[kernel != 0])) for path, kernel in plain(every).items()}


def plain(variables):
    return {path: keras.ops.convert_to_numpy(each) for path, each in variables.items()}


def small(kernel_initializer="zeros"):
    """Returns a model that answers with its bias, which is 0."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer=kernel_initializer)])
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    return model


def test_a_metric_that_is_not_a_number_misses_every_drop():
    """Training that went astray: the loss of what it leaves is not a number, which compares with nothing."""
    data = np.ones((4, 1), "float32"), np.ones((4, 1), "float32")
    recipe = slim.Recipe([FineTune(epochs=30, learning_rate=1e30)], max_drop=1.0)
    with pytest.raises(UnreachableTargetError, match="misses that by inf"):
        recipe.apply(small(), data, data, verbose=0)


@pytest.mark.parametrize("frozen_by", ["recipe", "user"])
def test_values_that_are_shared_in_layers_that_are_not_trained(frozen_by, trained, samples):
    model, layers = trained, {"second": {"fine_tune": None}}
    if frozen_by == "user":
        model, layers = keras.models.clone_model(trained), {}
        model.set_weights(trained.get_weights())
        model.get_layer("second").trainable = False
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=True)
    result = slim.Recipe([Share(bits=1), FineTune(epochs=1)], layers).apply(model, samples, verbose=0)
    assert shared_kernels(result.model) == dict.fromkeys(("first", "second", "third", "scores"), 2)
    by_hand = slim.Recipe([Share(bits=1)]).apply(trained, verbose=0).model
    same = {
        layer.name: np.array_equal(layer.kernel, by_hand.get_layer(layer.name).kernel)
        for layer in result.model.layers
        if layer.name != "norm"
    }
    assert same == {"first": False, "second": True, "third": False, "scores": False}


@pytest.mark.parametrize(
    "steps",
    [
        [Share(bits=2), Sparsify(sparsity=0.6), FineTune(epochs=1)],
        [Sparsify(sparsity=0.6), Share(bits=2, epochs=1)],
    ],
)
def test_zeros_that_training_would_fill_are_told_in_any_order(steps, trained, samples):
    with pytest.raises(ValueError, match="holds either zeros or shared values"):
        slim.Recipe(steps, {"second": {"share": None}}).apply(trained, samples, verbose=0)
    frozen = slim.Recipe(steps, {"second": {"share": None, "fine_tune": None}})
    model = frozen.apply(trained, samples, verbose=0).model
    for kernel in plain(kernels(model)).values():
        assert (kernel == 0).mean() == pytest.approx(0.6, abs=0.02)


@pytest.mark.parametrize("step", [{"quantize": {"bits": 2}}, {"export": {"quantize": "int8", "tolerance": 0}}])
def test_a_layer_rounds_however_little_of_a_step_is_left(step, samples, tmp_path):
    """A share of a few layers, rounded up, is all of them."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    ((alias, options),) = step.items()
    recipe = slim.Recipe([{alias: {**options, "left_real": 0.9}}])
    (report,) = recipe.apply(model, samples, folder=tmp_path / "out", verbose=0).steps
    assert report.notes[0].count("dense") == 1


def test_compilation_by_objects(trained, samples):
    class_numbers = keras.losses.SparseCategoricalCrossentropy(name="classes")
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="right")
    options = {"optimizer": keras.optimizers.SGD(0.5), "loss": class_numbers, "metrics": [accuracy]}
    result = slim.Recipe([FineTune(epochs=1)], compile=options).apply(trained, samples, verbose=0)
    assert result.metric == "right"
    assert result.metric_before == pytest.approx(trained.evaluate(*samples, verbose=0)[1])
    assert float(result.model.optimizer.learning_rate) == 0.5


def test_a_learning_rate_goes_before_the_schedule_of_an_optimizer(samples):
    """The first step of SGD is the gradient, -2 at a bias of 0 and targets of 1, times the rate of the recipe."""
    model, data = small(), (np.zeros((4, 1), "float32"), np.ones((4, 1), "float32"))
    model.compile(keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.5, 10)), "mse", run_eagerly=True)
    model = slim.Recipe([FineTune(epochs=2, learning_rate=0.125)]).apply(model, data, verbose=0).model
    assert float(model.layers[0].bias[0]) == pytest.approx(0.25 + 2 * 0.75 * 0.125)
    assert isinstance(model.optimizer.get_config()["learning_rate"], dict)  # compiled as the user's


def datasets(x, y):
    import tensorflow as tf

    whole = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    return {
        "inputs only": (x, "targets too.*step 2, `fine_tune`"),
        "dataset without targets": (whole.map(lambda x, y: x), "targets too.*step 2, `fine_tune`"),
        "endless": (whole.repeat(), "data that ends.*`.repeat"),
        "other shapes": ((x[:, :3], y), r"batches of shape \[\(None, 8\)\]"),
    }


@pytest.mark.parametrize("name", ["inputs only", "dataset without targets", "endless", "other shapes"])
def test_data_that_training_does_not_take_are_told_before(name, trained, samples, monkeypatch):
    data, message = datasets(*samples)[name]
    monkeypatch.setattr("keras_slim.recipes.control.Course.carry_out", lambda course: pytest.fail("work began"))
    with pytest.raises(ValueError, match=message):
        slim.Recipe(["share", FineTune(epochs=1)]).apply(trained, data, verbose=0)


def test_endless_data_can_be_looked_at(trained, samples):
    data, _ = datasets(*samples)["endless"]
    assert slim.Recipe([Quantize()]).apply(trained, data, verbose=0).metric_after > 0.5


def test_less_of_a_step_may_need_data_that_all_of_it_does_not(trained, samples):
    step = Quantize(bits=2, activations=None)
    slim.Recipe([step]).apply(trained, None, samples, verbose=0)
    with pytest.raises(ValueError, match="`data=x`, for step 1, `quantize`"):
        slim.Recipe([step], max_drop=0.0).apply(trained, None, samples, verbose=0)


@pytest.mark.parametrize(
    ("step", "options", "message"),
    [
        (Prune, {"ratio": 0.5, "epochs": 2}, "at most one round per epoch.*2 epochs"),
        (Prune, {"ratio": 0.5, "compensate": "no"}, "True, False.*'no'"),
        (Compress, {"float16": "yes"}, "True, False.*'yes'"),
        (Quantize, {"epochs": 2, "begin": 1, "delay": 1}, r"begin \+ delay below epochs=2"),
    ],
)
def test_options_that_do_not_go_together_are_told_at_once(step, options, message):
    with pytest.raises(ValueError, match=message):
        step(**options)


def test_one_ranking_has_one_sparsity(trained, monkeypatch):
    monkeypatch.setattr("keras_slim.recipes.control.Course.carry_out", lambda course: pytest.fail("work began"))
    recipe = slim.Recipe([Sparsify(scope="global")], {"first": {"sparsify": {"sparsity": 0.5}}})
    with pytest.raises(ValueError, match="Step 1, `sparsify`.*ranks them together"):
        recipe.apply(trained, verbose=0)


@pytest.mark.parametrize("name", ["report.json", "model.tflite"])
def test_a_folder_in_the_place_of_a_file_is_told_before(name, trained, tmp_path):
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(ValueError, match=f"with no folder in it that is called '{name}'"):
        slim.Recipe(["share", "export"]).apply(trained, folder=tmp_path / "out", verbose=0)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


@pytest.mark.parametrize(("text", "value"), [("1.5e-3", 1.5e-3), ("1.5e3", 1500), (".5e1", 5), ("1.e2", 100)])
def test_numbers_of_yaml(text, value, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"steps: [{{fine_tune: {{epochs: 1, learning_rate: {text}}}}}]")
    assert math.isclose(slim.Recipe.from_file(path).steps[0].learning_rate, value)


@pytest.mark.parametrize("name", ["train_step", "compute_loss"])
def test_a_model_that_trains_in_its_own_way_is_not_trained_in_another(name, samples):
    own = type("Own", (keras.Model,), {name: lambda self, *args, **kwargs: pytest.fail("called")})
    inputs = keras.Input((8,))
    model = own(inputs, keras.layers.Dense(2)(inputs))
    model.compile("sgd", "mse")
    with pytest.raises(UnsupportedLayerError, match=f"Step `fine_tune`.*without the `{name}` of `Own`"):
        slim.Recipe(["share", FineTune(epochs=1)]).apply(model, samples, verbose=0)
    assert slim.Recipe(["share"]).apply(model, verbose=0).metric is None


def test_without_metrics_the_loss_of_all_outputs_counts():
    """Keras measures the loss of each output, too: of 1 and 2 here, which is 3 together."""
    inputs = keras.Input((1,))
    outputs = [keras.layers.Dense(1, kernel_initializer="zeros", name=name)(inputs) for name in ("one", "two")]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", ["mae", "mae"])
    x = np.ones((4, 1), "float32")
    result = slim.Recipe(["share"]).apply(model, (x, [x, 2 * x]), verbose=0)
    assert (result.metric, result.metric_before) == ("loss", 3)


def test_a_report_on_a_model_that_has_diverged_is_json(tmp_path):
    model, data = small(), (np.ones((4, 1), "float32"), np.ones((4, 1), "float32"))
    model.layers[0].bias.assign([math.inf])
    result = slim.Recipe(["sparsify"]).apply(model, data, folder=tmp_path / "out", verbose=0)
    assert result.metric_before == math.inf
    told = json.loads((tmp_path / "out" / "report.json").read_text(), parse_constant=pytest.fail)
    assert (told["metric"], told["metric_before"], told["steps"][0]["metric_after"]) == ("loss", None, None)


def test_numbers_of_numpy_are_written_and_what_is_no_value_is_told_before(trained, tmp_path, monkeypatch):
    recipe = slim.Recipe([Share(bits=np.int64(3))])
    result = recipe.apply(trained, folder=tmp_path / "out", verbose=0)
    assert slim.Recipe.from_file(result.files["recipe.yaml"]) == recipe
    monkeypatch.setattr("keras_slim.recipes.control.Course.carry_out", lambda course: pytest.fail("work began"))
    with pytest.raises(TypeError, match="which can be written to a file.*bits=4"):
        slim.Recipe([Quantize(bits=slim.quantizers.Int(4), activations=None)]).apply(trained, folder=tmp_path / "b")


@pytest.mark.parametrize(("name", "text"), [("a.json", '{"steps": ["share"]}'), ("a.yaml", "steps: [share]")])
def test_a_file_may_begin_with_a_mark_of_its_encoding(name, text, tmp_path):
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert slim.Recipe.from_file(tmp_path / name) == slim.Recipe(["share"])


def test_one_unit_has_nothing_to_teach(samples):
    """The softmax of one number is 1, whatever the number: teacher and student always agree."""
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1, "sigmoid")], name="yes_or_no")
    model.compile("sgd", "binary_crossentropy")
    with pytest.raises(ValueError, match="Step 1, `fine_tune`.*cannot distil model 'yes_or_no'.*one unit"):
        slim.Recipe([FineTune(epochs=1, distill=True)]).apply(model, samples, verbose=0)


def test_a_file_cannot_leave_alone_what_is_rounded_already(trained, samples, tmp_path):
    recipe = slim.Recipe([Quantize(), {"export": {"quantize": "int8"}}], {"scores": {"export": None}})
    with pytest.raises(ValueError, match="Step 2, `export`, leaves 'scores' alone, which step `quantize` has rounded"):
        recipe.apply(trained, samples, folder=tmp_path / "out", verbose=0)
