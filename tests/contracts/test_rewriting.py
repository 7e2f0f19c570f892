"""What every function promises that returns a copy of a model with other layers in it."""

import inspect

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import randomise

import keras_slim as slim
from keras_slim import rewriting
from keras_slim.graph.nodes import walk
from keras_slim.layers import HashedDense, QuantDense


class OwnDense(layers.Dense):
    """Derives from a layer of Keras."""


class OwnQuantDense(QuantDense):
    """Derives from a layer with few bits."""


def few_bits(*args, **options):
    return QuantDense(*args, kernel_quantizer="ternary", input_quantizer="int", **options)


class OwnHashedDense(HashedDense):
    """Derives from a hashed layer."""

    def __init__(self, *args, ratio=0.5, **options):
        super().__init__(*args, ratio=ratio, **options)


def hashed(*args, **options):
    return HashedDense(*args, ratio=0.5, **options)


SAMPLES = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
# For each rewriting: options that leave nothing out, the layer it is about, one that derives from that, what stands for
# it in the copy. A new one needs a line here.
EXAMPLES = {
    "adderize": ({"skip": ()}, layers.Dense, OwnDense, slim.layers.AdderDense),
    "correct_biases": ({"data": SAMPLES}, layers.Dense, OwnDense, layers.Dense),
    "dehash": ({}, hashed, OwnHashedDense, layers.Dense),
    "dequantize": ({}, few_bits, OwnQuantDense, layers.Dense),
    "equalize": ({}, layers.Dense, OwnDense, layers.Dense),
    "fold_batch_normalization": ({}, layers.Dense, OwnDense, layers.Dense),
    "hash": ({"ratio": 0.5, "skip": ()}, layers.Dense, OwnDense, HashedDense),
    "quantize": ({"activations": "int", "skip": ()}, layers.Dense, OwnDense, QuantDense),
}
# They have files of their own in tests/rewriting.
REPLACE_NOTHING = ("calibrate", "describe", "joints", "quantization_report", "quantize_within")
VERBS = [name for name in rewriting.__all__ if name.islower() and name not in REPLACE_NOTHING]
every = pytest.mark.parametrize("name", VERBS)


def needed(name):
    """The options of a rewriting that it cannot do without."""
    return {option: value for option, value in EXAMPLES[name][0].items() if option in ("data", "ratio")}


def rewrite(name, model):
    return getattr(slim, name)(model, **EXAMPLES[name][0])


def sequential(dense):
    stack = [dense(6, use_bias=False, name="a"), layers.BatchNormalization(name="norm"), layers.ReLU(name="relu")]
    return randomise(keras.Sequential([keras.Input((4,)), *stack, dense(3, name="b")], name="chain"))


def shared(dense):
    """A model inside the model that is called twice, with a layer that is called twice, and operations between."""
    inputs, inside = keras.Input((4,), name="x"), keras.Input((4,))
    twice = dense(4, name="twice")
    inner = keras.Model(inside, layers.BatchNormalization()(dense(4, name="once")(twice(twice(inside)))), name="inner")
    stack = keras.Sequential([keras.Input((4,)), dense(4, name="first"), layers.BatchNormalization()], name="stack")
    x = layers.LayerNormalization(name="own")(keras.ops.relu(inner(inputs) + 2 * inner(stack(inputs))))
    return randomise(keras.Model({"x": inputs}, {"y": dense(2, name="last")(x)}, name="outer"))


class Subclassed(keras.Model):
    """Calls its layers in its own code."""

    def __init__(self, dense):
        super().__init__(name="subclassed")
        self.dense, self.norm, self.last = dense(4, name="dense"), layers.BatchNormalization(), dense(2, name="last")

    def call(self, x):
        return self.last(keras.ops.relu(self.norm(self.dense(x))) + x)


def subclassed(dense):
    model = Subclassed(dense)
    model(np.zeros((1, 4), "float32"))
    return randomise(model)


BUILDERS = [sequential, shared, subclassed]


def states(model):
    """What belongs to a model: its layers, their configs, flags and weights, and whether it is compiled."""
    found = [(each, each.trainable, each.get_config()) for each in model._flatten_layers() if each is not model]
    return found, [keras.ops.convert_to_numpy(each) for each in model.variables], model.compiled, model.optimizer


def by_name(model):
    return {layer.name: layer for layer in model._flatten_layers()}


def test_each_is_in_the_contract():
    assert set(VERBS) == set(EXAMPLES)


@every
@pytest.mark.parametrize("build", BUILDERS)
def test_the_model_is_left_as_it_is_and_the_copy_shares_nothing_with_it(name, build):
    model = build(EXAMPLES[name][1])
    model.compile("sgd", "mse")
    before = states(model)
    made = rewrite(name, model)
    after = states(model)
    for old, new in zip(before[1], after[1], strict=True):
        np.testing.assert_array_equal(new, old)
    assert (after[0], *after[2:]) == (before[0], *before[2:])
    assert not made.compiled
    assert not {*map(id, made.variables)} & {*map(id, model.variables)}
    assert not {*made._flatten_layers()} & {*model._flatten_layers()}


@every
@pytest.mark.parametrize("build", BUILDERS)
def test_others_stand_for_layers_under_their_names(name, build):
    _, kind, _, expected = EXAMPLES[name]
    model = build(kind)
    made = by_name(rewrite(name, model))
    assert model.name in made
    about = [layer for layer in model._flatten_layers() if isinstance(layer, layers.Dense)]
    assert {type(made[layer.name]) for layer in about} == {expected}


@every
def test_what_is_not_its_matter_keeps_its_weights_bit_for_bit(name):
    model = shared(EXAMPLES[name][1])
    made = by_name(rewrite(name, model))
    for new, old in zip(made["own"].get_weights(), model.get_layer("own").get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


@every
def test_a_sequential_stays_one_also_inside_a_model(name):
    kind = EXAMPLES[name][1]
    assert type(rewrite(name, sequential(kind))) is keras.Sequential
    assert type(rewrite(name, shared(kind)).get_layer("stack")) is keras.Sequential


@every
def test_shared_layers_and_models_stay_shared_and_ends_keep_their_structure(name):
    made = rewrite(name, shared(EXAMPLES[name][1]))
    inner = made.get_layer("inner")
    assert isinstance(inner, keras.Model)
    assert [node.operation for node in walk(made)].count(inner) == 2
    twice = inner.get_layer("twice")
    assert [node.operation for node in walk(inner)].count(twice) == 2
    assert {**made.input, **made.output}.keys() == {"x", "y"}


@every
def test_what_is_frozen_stays_frozen(name):
    model = shared(EXAMPLES[name][1])
    model.get_layer("last").trainable = model.get_layer("stack").trainable = False
    made = rewrite(name, model)
    flags = {each: by_name(made)[each].trainable for each in ("last", "stack", "first", "twice", "own")}
    assert flags == {"last": False, "stack": False, "first": False, "twice": True, "own": True}


@every
@pytest.mark.parametrize("build", BUILDERS)
def test_the_copy_trains_saves_and_loads(name, build, tmp_path):
    model = build(EXAMPLES[name][1])
    made = rewrite(name, model)
    x = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    given = {"x": x} if build is shared else x
    made.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    wanted = keras.tree.map_structure(lambda y: np.zeros(y.shape), made(given))
    made.fit(given, wanted, verbose=0)
    model(given)  # JAX takes what is trained away from whoever shares it
    made.save(tmp_path / "made.keras")
    again = keras.saving.load_model(tmp_path / "made.keras")
    for ours, theirs in zip(*(keras.tree.flatten(each(given)) for each in (again, made)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@every
def test_precision_is_kept(name):
    options, kind, _, expected = EXAMPLES[name]
    options = {**options, **({"local_learning_rate": None} if name == "adderize" else {})}
    stack = [kind(4, dtype="mixed_float16", name="a"), layers.BatchNormalization(dtype="mixed_float16")]
    made = getattr(slim, name)(keras.Sequential([keras.Input((4,)), *stack]), **options)
    assert (type(made.layers[0]), made.layers[0].compute_dtype) == (expected, "float16")
    assert {each.dtype for each in made.layers[0].weights} == {"float32"}


@every
def test_what_stays_though_it_derives_from_such_a_layer_is_told_to_the_caller(name):
    _, kind, own, _ = EXAMPLES[name]
    stack = [own(4, name="own"), layers.BatchNormalization(), kind(4, name="a"), kind(4, name="b")]
    model = keras.Sequential([keras.Input((4,)), *stack])
    with pytest.warns(slim.errors.SlimWarning, match=f"`{name}` leaves.*'own'") as told:
        made = getattr(slim, name)(model, **EXAMPLES[name][0])
    ours = [each for each in told if each.category is slim.errors.SlimWarning]  # Keras warns too, of its own arrays
    assert [each.filename for each in ours] == [inspect.getsourcefile(rewrite)]
    assert type(made.get_layer("own")) is own


class Unreadable(keras.Model):
    """Says in no way what it does."""

    def call(self, inputs):
        return inputs


@every
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: "model", TypeError, "`model` of `{}`.*a Keras model"),
        (lambda: keras.Sequential([layers.Dense(2)]), ValueError, "is not built.*keras.Input"),
        (Unreadable, slim.errors.UnsupportedLayerError, "Unreadable"),
    ],
)
def test_what_is_no_model_that_can_be_read_is_refused(name, make, error, message):
    with pytest.raises(error, match=message.format(name)):
        getattr(slim, name)(make(), **needed(name))


@pytest.mark.parametrize("name", [name for name in VERBS if "skip" in EXAMPLES[name][0]])
@pytest.mark.parametrize(
    ("skip", "error", "message"),
    [
        ("last", TypeError, r"`skip` of `{}`.*Give a tuple: skip=\('last',\)"),
        (1, TypeError, "`skip` of `{}`.*names of layers"),
        (None, TypeError, "`skip` of `{}`.*names of layers"),
        (("first", "nrm"), ValueError, "`skip` of `{}`.*Did you mean 'norm'"),
        (("a", "b"), ValueError, r"`skip` of `{}`.*leave a layer that has a twin.*skip=\(\)"),
        (("first", "last"), ValueError, r"`skip` of `{}`.*leave a layer that has a twin.*skip=\(\)"),
    ],
)
def test_a_wrong_skip_is_told_in_one_sentence(name, skip, error, message):
    with pytest.raises(error, match=message.format(name)):
        getattr(slim, name)(sequential(layers.Dense), skip=skip, **needed(name))


@pytest.mark.parametrize("name", ["adderize", "correct_biases", "hash", "quantize"])
def test_a_model_without_a_layer_to_replace_is_told_of_and_not_skip(name):
    model = keras.Sequential([keras.Input((4,)), layers.ReLU()], name="bare")
    with pytest.raises(ValueError, match=f"`model` of `{name}`.*a layer that has a twin.*'bare' without"):
        rewrite(name, model)


def test_all_that_replaces_takes_skip_and_leaves_the_ends_by_itself_unless_its_paper_replaces_them():
    taking = {name for name in VERBS if "skip" in inspect.signature(getattr(slim, name)).parameters}
    assert taking == {name for name in VERBS if "skip" in EXAMPLES[name][0]} == {"adderize", "hash", "quantize"}
    for name in taking:
        model = keras.Sequential([keras.Input((4,)), *(layers.Dense(4, name=n) for n in "abc")])
        made = getattr(slim, name)(model, **needed(name))
        expected = [False] * 3 if name == "hash" else [True, False, True]
        assert [type(by_name(made)[each]) is layers.Dense for each in "abc"] == expected
