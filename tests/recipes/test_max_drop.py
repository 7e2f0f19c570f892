"""A metric that is held for the whole recipe: what costs most is done by less, or nothing is written."""

import contextlib
import dataclasses
import json
import re
import warnings

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.errors import SlimWarning, UnreachableTargetError
from keras_slim.recipes import (
    Compress,
    Export,
    Factorize,
    FineTune,
    Prune,
    Quantize,
    Share,
    Sparsify,
    State,
    Step,
    steps,
)
from keras_slim.recipes.control import ladder
from keras_slim.sparsity import kernels


@contextlib.contextmanager
def registered(name, kind):
    """A context in which there is another kind of step."""
    steps.register(name)(kind)
    try:
        yield
    finally:
        del steps._classes[name]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spoil(Step):
    """Spoils a bias by a known amount: the metric below is that amount."""

    by: float

    def weaker(self, strength):
        return dataclasses.replace(self, by=self.by * strength) if strength else None

    def run(self, state, place):
        model = place.copy(state.model)
        model.layers[-1].bias.assign_add([self.by])
        return State(model, state.holding)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heal(Step):
    """Makes up for 0.7 of it, whatever was before, as training does."""

    def run(self, state, place):
        model = place.copy(state.model)
        model.layers[-1].bias.assign_sub([0.7])
        return State(model, state.holding)


@pytest.fixture
def spoil():
    with registered("spoil", Spoil):
        yield Spoil


@pytest.fixture
def line():
    """A model that answers with its bias, and data to which 0 is right."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mae")
    return model, (np.zeros((4, 1)), np.zeros((4, 1)))


def test_nothing_is_taken_back_where_the_metric_holds(spoil, line):
    model, data = line
    result = slim.Recipe([spoil(by=0.5), spoil(by=0.25)], max_drop=0.75).apply(model, data, verbose=0)
    assert [step.strength for step in result.steps] == [1, 1]
    assert (result.metric, result.metric_before, result.metric_after) == ("loss", 0, 0.75)


def test_what_costs_most_is_done_by_less(spoil, line, capsys):
    """0.8 + 0.2 must become 0.5: the dear step goes to 0.6 and to 0.4; then 0.2 is the lesser evil of both? No: 0.4."""
    model, data = line
    result = slim.Recipe([spoil(by=0.2), spoil(by=0.8)], max_drop=0.5).apply(model, data)
    assert [step.strength for step in result.steps] == [1, 0.25]
    assert result.metric_after == pytest.approx(0.4)
    assert [step.metric_after for step in result.steps] == pytest.approx([0.2, 0.4])
    assert "`spoil`, is done by 75%" in capsys.readouterr().out
    assert "spoil, 25% of it" in str(result)


def test_a_metric_that_is_no_number_does_not_hold(spoil, line):
    model, data = line
    with pytest.raises(UnreachableTargetError, match="misses that by inf"):
        slim.Recipe([spoil(by=float("nan"))], max_drop=0.5).apply(model, data, verbose=0)
    result = slim.Recipe([spoil(by=0.25), spoil(by=float("nan"))], max_drop=0.5).apply(model, data, verbose=0)
    assert [step.strength for step in result.steps] == [1, 0]


def test_without_max_drop_nothing_is_taken_back(spoil, line):
    model, data = line
    result = slim.Recipe([spoil(by=5.0)]).apply(model, data, verbose=0)
    assert result.metric_after == 5


def test_a_miss_is_told_and_nothing_is_written(spoil, line, tmp_path):
    model, data = line
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.keras").write_text("there before")
    recipe = slim.Recipe([spoil(by=0.8), "compress"], max_drop=0.1)
    with pytest.raises(UnreachableTargetError, match=re.escape("misses that by 0.7, and by 0.1 with the least")):
        recipe.apply(model, data, folder=tmp_path / "out", verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "model.keras").read_text() == "there before"


def test_a_step_that_fails_says_which_it_is_and_writes_nothing(trained, tmp_path):
    recipe = slim.Recipe([Compress(), Prune(ratio=0.95, max_ratio=0.5)])
    with pytest.raises(UnreachableTargetError) as raised:
        recipe.apply(trained, folder=tmp_path / "out", verbose=0)
    assert raised.value.__notes__ == ["This was step 2 of 2 of the recipe, `prune`."]
    assert not list(tmp_path.iterdir())


def test_what_training_makes_up_for_costs_nothing(spoil, line):
    """0.8 is more than 0.3, but 0.7 of it comes back: the later step is what is done by less."""
    model, data = line
    with registered("heal", Heal):
        result = slim.Recipe([spoil(by=0.8), Heal(), spoil(by=0.3)], max_drop=0.2).apply(model, data, verbose=0)
    assert [step.strength for step in result.steps] == [1, 1, 0.25]
    assert result.metric_after == pytest.approx(0.8 - 0.7 + 0.075)


def test_a_metric_on_what_is_trained_on_is_told(trained, samples):
    recipe = slim.Recipe([FineTune(epochs=1)], max_drop=1.0)
    with pytest.warns(SlimWarning, match="on samples that are trained on"):
        recipe.apply(trained, samples, verbose=0)
    recipe.apply(trained, samples, samples, verbose=0)


def test_warnings_of_a_step_are_notes_of_its_report(spoil, line, tmp_path, recwarn):
    class Warner(Heal):
        def run(self, state, place):
            warnings.warn(f"{place.path('file')} is small", SlimWarning, stacklevel=2)
            warnings.warn("something else", UserWarning, stacklevel=2)
            return state

    for kind in (SlimWarning, UserWarning):
        warnings.simplefilter("always", kind)
    with registered("warn", Warner):
        result = slim.Recipe([Warner()]).apply(line[0], folder=tmp_path / "out", verbose=0)
    assert result.steps[0].notes == ("file is small",)
    assert [str(each.message) for each in recwarn if each.category is UserWarning] == ["something else"]
    assert not [each for each in recwarn if each.category is SlimWarning]


WEAKER = {
    "factorize": (Factorize(ratio=0.8), {"ratio": 0.4}),
    "prune": (Prune(ratio=0.8), {"ratio": 0.4}),
    "sparsify": (Sparsify(sparsity=0.8), {"sparsity": 0.4}),
    "share": (Share(bits=2), {"bits": 4}),
    "quantize": (Quantize(), {"left_real": 0.5}),
    "export": (Export(quantize="int8"), {"quantize": "int8", "left_real": 0.5}),
    "float16": (Export(quantize="float16"), {}),
    "compress": (Compress(float16=True), {}),
    "fine_tune": (FineTune(epochs=1), {"epochs": 1}),
}


@pytest.mark.parametrize("name", WEAKER)
def test_half_a_step(name):
    step, expected = WEAKER[name]
    assert step.weaker(0.5).get_config() == expected


def test_every_step_has_a_half():
    assert {step.alias for step, _ in WEAKER.values()} == set(steps.names())


def test_settings_of_single_layers_get_weaker_too(trained, samples):
    recipe = slim.Recipe([Sparsify(sparsity=0.9)], {"first": {"sparsify": {"sparsity": 0.8}}}, max_drop=0.02)
    result = recipe.apply(trained, samples, verbose=0)
    strength = result.steps[0].strength
    assert 0 < strength < 1
    zeros = {path.split("/")[-2]: float((each.numpy() == 0).mean()) for path, each in kernels(result.model).items()}
    assert zeros["first"] == pytest.approx(0.8 * strength, abs=0.01)
    assert zeros["second"] == pytest.approx(0.9 * strength, abs=0.01)


def test_layers_that_cost_most_stay_real(trained, samples):
    result = slim.Recipe([Quantize(bits=2, left_real=0.5)]).apply(trained, samples, verbose=0)
    report = slim.quantization_report(trained, samples[0], kernel=slim.quantizers.Int(2), activations="int", verbose=0)
    real = [row.path for row in report.layers[:2]]
    assert [layer.name for layer in result.model.layers if type(layer) is keras.layers.Dense] == [
        name for name in ("first", "second", "third", "scores") if name in real
    ]
    assert result.steps[0].notes == (f"Left real: {', '.join(map(repr, real))}.",)


def test_the_report_tells_what_every_step_cost(trained, samples, tmp_path):
    recipe = slim.Recipe([Prune(ratio=0.5), Sparsify(sparsity=0.5), Export()], {"scores": None})
    result = recipe.apply(trained, samples, folder=tmp_path / "out", verbose=0)
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told == json.loads(json.dumps(result.to_dict()))
    assert [step["name"] for step in told["steps"]] == ["prune", "sparsify", "export"]
    assert told["before"]["parameters"] == trained.count_params() == result.steps[0].before.parameters
    assert told["before"]["macs"] == 8 * 16 + 16 * 16 + 16 * 16 + 16 * 2
    right = np.argmax(trained(samples[0]), axis=1) == samples[1]
    assert told["metric_before"] == pytest.approx(right.mean())
    assert told["steps"][0]["after"]["parameters"] == result.model.count_params()
    assert told["steps"][1]["after"]["nonzero"] < told["steps"][0]["after"]["nonzero"]
    assert told["steps"][2]["after"]["bytes"] == (tmp_path / "out" / "model.tflite").stat().st_size
    assert told["steps"][2]["file"] == str(tmp_path / "out" / "model.tflite") == told["steps"][2]["details"]["path"]
    assert (tmp_path / "out" / "report.txt").read_text() == f"{result}\n"
    assert slim.Recipe.from_file(tmp_path / "out" / "recipe.yaml") == recipe
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(result.files)


def test_what_is_left_out_has_no_strength():
    step = Factorize(ranks="energy")
    assert ladder(step) == [(1.0, step), (0.0, None)]
