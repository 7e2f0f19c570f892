"""What a recipe says, how it is read and written, and what is complained about before any work begins."""

import dataclasses
import json
import re

import keras
import numpy as np
import pytest
from batching import batches

import keras_slim as slim
from keras_slim.recipes import FineTune, Prune, Quantize, Share, Sparsify, State, Step, steps
from keras_slim.sparsity import kernels

FULL = {
    "max_drop": 0.02,
    "metric": "accuracy",
    "mode": "max",
    "min_weights": 64,
    "compile": {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
    "steps": [
        {"prune": {"ratio": 0.25, "of": "macs", "criterion": "l1"}},
        {"fine_tune": {"epochs": 2, "learning_rate": 0.001, "distill": {"temperature": 2.0}}},
        {"sparsify": {"sparsity": 0.5, "scope": "global"}},
        {"share": {}},
        {"quantize": {"bits": 4, "activations": None, "skip": ["first"]}},
        {"export": {"quantize": "int8"}},
        {"compress": {"file": "small.h5"}},
    ],
    "layers": {"Embedding": {"quantize": None}, "scores": None, "second": {"share": {"bits": 3}, "prune": None}},
}


@pytest.mark.parametrize("name", ["recipe.yaml", "recipe.yml", "recipe.json"])
def test_a_recipe_survives_a_file(name, tmp_path):
    recipe = slim.Recipe.from_config(FULL)
    assert recipe.get_config() == FULL
    recipe.to_file(tmp_path / name)
    read = slim.Recipe.from_file(tmp_path / name)
    assert read == recipe
    assert read.get_config() == FULL
    assert read != slim.Recipe.from_config({**FULL, "min_weights": 65})


def test_what_is_written_in_python_is_what_is_written_in_a_file():
    recipe = slim.Recipe(
        [Prune(ratio=0.5), "share", {"fine_tune": {"epochs": 1}}],
        {keras.layers.Dense: {"share": {"bits": 3}}},
        compile={"optimizer": keras.optimizers.SGD(0.25), "loss": "mse"},
    )
    config = json.loads(json.dumps(recipe.get_config()))
    assert slim.Recipe.from_config(config) == recipe
    assert config["steps"] == [{"prune": {"ratio": 0.5}}, {"share": {}}, {"fine_tune": {"epochs": 1}}]
    assert config["layers"] == {"Dense": {"share": {"bits": 3}}}
    assert config["compile"]["optimizer"]["config"]["learning_rate"] == 0.25


def test_yaml_numbers_without_a_point_are_numbers(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("steps:\n- fine_tune: {epochs: 1, learning_rate: 1e-3}\n- share:\n- compress\n")
    first, *others = slim.Recipe.from_file(path).steps
    assert first.learning_rate == 0.001
    assert [step.alias for step in others] == ["share", "compress"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: [prnue]", "Step 1: .*Did you mean 'prune'"),
        ("steps: [distill]", "Give `distill` to a step that trains"),
        ("steps: [{prune: {ration: 0.5}}]", "step `prune`.*Received: 'ration'. Did you mean 'ratio'"),
        ("steps: [prune]", "Expected 'ratio'"),
        ("steps: [{prune: {ratio: 50}}]", "For 50 per cent, give 0.5"),
        ("steps: [{prune: {ratio: 0.5, criterion: tailor}}]", "Did you mean 'taylor'"),
        ("steps: [{quantize: {bits: 9}}]", "Step 1.*bits"),
        ("steps: [{share: {bits: 9}}]", "Step 1.*`bits`.*1 to 8"),
        ("steps: [{share: {learning_rate: 0.1}}]", "Give `epochs`"),
        ("steps: [{fine_tune: {epochs: 1, distill: {temprature: 2}}}]", "Did you mean 'temperature'"),
        ("steps: [{export: {quantize: int4}}]", "Did you mean 'int8'"),
        ("steps: [{export: {file: out/model.tflite}}]", "without a folder"),
        ("steps: [{compress: {file: model.keras}}]", "ends with '.h5'"),
        ("steps: [export, {export: {quantize: int8}}]", "another name"),
        ("steps: {prune: {ratio: 0.5}}", "a list of steps"),
        ("steps: [{prune: {ratio: 0.5}, share: {}}]", "write a `-` before each"),
        ("steps: []", "at least one step"),
        ("step: [share]", "Did you mean 'steps'"),
        ("max_drop: 0.1", "A recipe has `steps`"),
        ("[share]", "a dictionary with"),
        ("steps: [share]\nlayers: {scores: {shar: null}}", "Did you mean 'share'"),
        ("steps: [share]\nlayers: {scores: {share: {bit: 4}}}", "Did you mean 'bits'"),
        ("steps: [share]\nlayers: {scores: {prune: {ratio: 0.1}}}", "it has none by layer"),
        ("steps: [share]\nlayers: {scores: 4}", "to None, or to a dictionary"),
        ("steps: [share]\ncompile: {losses: mse}", "Did you mean 'loss'"),
        ("steps: [share, {prune: {ratio: 0.5}}]", "Step 2, `prune`, would undo `share`"),
        ("steps: [share, {sparsify: {epochs: 1}}]", "Step 2, `sparsify`, would undo `share`"),
        ("steps: [share]\nsteps: [prune]", "'steps' is there twice"),
        ("steps: [share", "cannot be read as YAML"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(text, message, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises((ValueError, TypeError), match=message) as raised:
        slim.Recipe.from_file(path)
    assert str(path) in str(raised.value)


def test_a_metric_that_is_a_function_cannot_be_written(tmp_path):
    recipe = slim.Recipe(["share"], metric=lambda y, answers: 0.0)
    with pytest.raises(ValueError, match="cannot be written down"):
        recipe.to_file(tmp_path / "recipe.yaml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "arguments", "message"),
    [
        (slim.Recipe(["share"], {"scorse": None}), {}, "Did you mean 'scores'"),
        (slim.Recipe([FineTune(epochs=1)]), {}, "inputs and targets.*for step 1, `fine_tune`"),
        (slim.Recipe(["share", Quantize()]), {}, "inputs.*for step 2, `quantize`"),
        (slim.Recipe([FineTune(epochs=1)]), {"data": (np.zeros((4, 8)),)}, "targets too.*for step 1, `fine_tune`"),
        (slim.Recipe([Quantize()]), {"data": (np.zeros((4, 7)), np.zeros(4))}, r"Received: data=\[\(4, 7\)\]"),
        (slim.Recipe(["export"]), {}, "a folder, as step `export`"),
        (slim.Recipe(["share"], max_drop=0.1), {}, "data with targets"),
        (slim.Recipe(["share"], {"first": {"share": {"bits": 0}}}), {}, "Step 1, `share`: Layer 'first'"),
        (slim.Recipe([{"export": {"quantize": "float16"}}], {"scores": None}), {"folder": "out"}, "leaves 'scores'"),
        (
            slim.Recipe([Sparsify(), Share(), FineTune(epochs=1)], {"first": {"share": None}}),
            {"data": (np.zeros((4, 8)), np.zeros(4))},
            "holds either zeros or shared",
        ),
        (slim.Recipe(["share"]), {"data": iter([])}, "looks at data several times"),
        (slim.Recipe(["share"]), {"folder": "missing/out"}, "in one that exists"),
    ],
)
def test_what_does_not_fit_the_model_is_said_before_any_work(
    recipe, arguments, message, trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("keras_slim.recipes.control.Course.carry_out", lambda course: pytest.fail("work began"))
    with pytest.raises((ValueError, TypeError), match=message):
        recipe.apply(trained, **arguments, verbose=0)
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_compiled_needs_a_loss_to_train(trained, samples):
    model = keras.Sequential.from_config(trained.get_config())
    recipe = slim.Recipe([FineTune(epochs=1)])
    with pytest.raises(ValueError, match="is not compiled. Expected a loss"):
        recipe.apply(model, samples, verbose=0)
    compiled = slim.Recipe([FineTune(epochs=1)], compile={"loss": "sparse_categorical_crossentropy"})
    before = model.get_weights()
    result = compiled.apply(model, samples, verbose=0)
    assert result.metric == "loss"
    assert result.metric_after < result.metric_before
    assert np.array_equal(model.get_weights()[0], before[0])
    assert not model.compiled


def test_a_loss_of_ones_own_and_nothing_to_measure(trained, samples):
    def own_loss(y, answers):
        return keras.losses.sparse_categorical_crossentropy(y, answers) * 2

    model = keras.Sequential.from_config(trained.get_config())
    model.compile("sgd", own_loss, run_eagerly=True)
    result = slim.Recipe([FineTune(epochs=1)]).apply(model, samples, verbose=0)
    assert result.model.loss is own_loss
    assert result.metric == "loss"
    model.compile("sgd")
    result = slim.Recipe(["share"]).apply(model, samples, verbose=0)
    assert (result.metric, result.metric_after) == (None, None)


def test_several_inputs_and_outputs_in_batches():
    rng = np.random.default_rng(0)
    x = {name: rng.random((20, size), "float32") for name, size in (("i", 4), ("j", 3))}
    y = {name: rng.random((20, size), "float32") for name, size in (("a", 1), ("b", 2))}
    inputs = {name: keras.Input(array.shape[1:], name=name) for name, array in x.items()}
    hidden = keras.layers.Dense(8, name="hidden")(keras.layers.Concatenate()(list(inputs.values())))
    model = keras.Model(inputs, {name: keras.layers.Dense(y[name].shape[1], name=name)(hidden) for name in ("b", "a")})
    model.compile("sgd", {"a": "mse", "b": "mse"}, run_eagerly=True)
    recipe = slim.Recipe([Prune(ratio=0.5, align=1), FineTune(epochs=1)], max_drop=10.0)
    result = recipe.apply(model, batches(x, y, 5), (x, y), verbose=0)
    assert result.model.get_layer("hidden").units == 4
    errors = [np.mean((y[name] - np.asarray(model(x)[name])) ** 2) for name in y]
    assert (result.metric, result.metric_before) == ("loss", pytest.approx(sum(errors), rel=1e-5))


def test_how_long_training_takes_is_estimated_before_it_begins(trained, samples, capsys, monkeypatch):
    monkeypatch.setattr("keras_slim.recipes.estimate.SILENT_SECONDS", 0.0)
    slim.Recipe([FineTune(epochs=1), "share"]).apply(trained, samples, samples)
    estimate, first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"1 epoch of training: about \d+ s, by the time that one batch takes forward", estimate)
    assert first.startswith("Step 1 of 2, `fine_tune`: accuracy ")
    assert second.startswith("Step 2 of 2, `share`: accuracy ")
    slim.Recipe(["share"]).apply(trained, samples, samples, verbose=0)
    assert capsys.readouterr().out == ""


def values(model):
    """Returns how many different values the kernel of each layer has."""
    return {path.split("/")[-2]: len(np.unique(kernel.numpy())) for path, kernel in kernels(model).items()}


def test_a_name_goes_before_a_type_and_a_type_before_all(trained):
    recipe = slim.Recipe(
        [Share(bits=1)], {keras.layers.Layer: {"share": {"bits": 3}}, "Dense": {"share": {"bits": 2}}, "third": None}
    )
    assert values(recipe.apply(trained, verbose=0).model) == {"first": 4, "second": 4, "third": 256, "scores": 4}
    named = slim.Recipe([Share(bits=1)], {"Dense": None, "first": {"share": {"bits": 2}}})
    assert values(named.apply(trained, verbose=0).model) == {"first": 4, "second": 256, "third": 256, "scores": 32}
    assert values(slim.Recipe([Share(bits=1)]).apply(trained, verbose=0).model) == dict.fromkeys(values(trained), 2)


def test_small_layers_are_left_alone_unless_they_are_named(trained):
    recipe = slim.Recipe([Share(bits=1)], min_weights=200)
    assert values(recipe.apply(trained, verbose=0).model) == {"first": 128, "second": 2, "third": 2, "scores": 32}
    recipe = slim.Recipe([Share(bits=1)], {"scores": {"share": {"bits": 2}}}, min_weights=200)
    assert values(recipe.apply(trained, verbose=0).model) == {"first": 128, "second": 2, "third": 2, "scores": 4}


def test_settings_of_one_step_say_nothing_about_others(trained, samples):
    recipe = slim.Recipe([Quantize(), FineTune(epochs=1)], {"scores": {"quantize": None}})
    model = recipe.apply(trained, samples, verbose=0).model
    assert [type(model.get_layer(name)).__name__ for name in ("third", "scores")] == ["QuantDense", "Dense"]
    assert not np.array_equal(model.get_layer("scores").get_weights()[0], trained.get_layer("scores").get_weights()[0])


def test_layers_of_models_inside_a_model(trained):
    inner = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="one")], name="encoder")
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(inner(inputs)), name="outer")
    recipe = slim.Recipe([Share(bits=1)], {"encoder": None})
    assert values(recipe.apply(model, verbose=0).model) == {"one": 32, "head": 2}
    recipe = slim.Recipe([Share(bits=1)], {"encoder": None, "encoder/one": {"share": {"bits": 2}}})
    assert values(recipe.apply(model, verbose=0).model) == {"one": 4, "head": 2}


@keras.saving.register_keras_serializable("tests")
class Block(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(16, name="dense")

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.dense(x)


def test_a_layer_of_layers_is_left_alone_by_what_comes_after_it_was_opened(samples):
    stack = [keras.layers.Dense(16, name="one"), Block(name="block"), keras.layers.Dense(16, name="two")]
    model = keras.Sequential([keras.Input((8,)), *stack, keras.layers.Dense(2, name="scores")], name="net")
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    steps_ = [Prune(ratio=0.5), Sparsify(sparsity=0.5), Share(bits=1), FineTune(epochs=1), Quantize()]
    result = slim.Recipe(steps_, {"block": None}).apply(model, samples, verbose=0)
    assert result.model.get_layer("two").units == 8
    block = result.model.get_layer("block")
    assert isinstance(block, keras.Model)
    for weight, old in zip(block.get_weights(), model.get_layer("block").get_weights(), strict=True):
        np.testing.assert_array_equal(weight, old)


def test_a_subclassed_model_becomes_a_functional_one():
    class Net(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.one, self.two = keras.layers.Dense(16, name="one"), keras.layers.Dense(2, name="two")

        def call(self, x):
            return self.two(self.one(x))

    model = Net()
    x = np.ones((3, 4), "float32")
    model(x)
    result = slim.Recipe([Prune(ratio=0.5)], {"two": {"share": None}}).apply(model, verbose=0)
    assert result.model.get_layer("one").units == 8
    assert model.one.units == 16


def test_a_step_of_ones_own_is_one_entry_of_the_registry(trained, tmp_path):
    @steps.register("scale")
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Scale(Step):
        by: float = 2.0

        by_layer = ("by",)

        def run(self, state, place):
            model = place.copy(state.model)
            weights = kernels(model)
            for path, by in place.by_weight(model, weights, "by", self.by, trained_only=False).items():
                weights[path].assign(by * weights[path])
            return State(model, state.holding, ("scaled.",))

    try:
        path = tmp_path / "recipe.yaml"
        path.write_text("steps: [{scale: {by: 3}}]\nlayers: {first: null, scores: {scale: {by: 5}}}\n")
        recipe = slim.Recipe.from_file(path)
        result = recipe.apply(trained, verbose=0)
        for name, by in {"first": 1, "second": 3, "scores": 5}.items():
            old, new = (model.get_layer(name).get_weights()[0] for model in (trained, result.model))
            np.testing.assert_array_equal(new, by * old)
        assert "scale: scaled." in str(result)
        assert recipe.get_config()["steps"] == [{"scale": {"by": 3}}]
        with pytest.raises(ValueError, match="Did you mean 'by'"):
            slim.Recipe([{"scale": {"bye": 3}}])
    finally:
        del steps._classes["scale"]
