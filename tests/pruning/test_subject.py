"""Models that have no graph of their own, and parts of models, are cut in place like all others."""

import collections
import contextlib
import math

import keras
import numpy as np
import pytest
from batching import batches
from failing import FailureError, Steps
from keras import layers, ops
from untouched import Picture

from keras_slim.errors import UnsupportedLayerError
from keras_slim.pruning.subject import Subject
from keras_slim.pruning.surgery import rebuild

Pair = collections.namedtuple("Pair", ["first", "second"])


class Block(layers.Layer):
    """A residual block with a weight of its own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.inner = [layers.Dense(units, "relu", name="in"), layers.Dense(units, name="out")]
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, shape):
        for layer in (*self.inner, self.norm):
            layer.build((*shape[:-1], self.units))
        self.scale = self.add_weight(shape=(self.units,), initializer="uniform", name="scale")

    def call(self, x, training=None):
        y = self.inner[1](self.inner[0](x)) * self.scale
        return x + self.norm(y, training=training)


class Own(keras.Model):
    """A subclassed model that holds its layers in one way or another."""

    def __init__(self, hold, call):
        super().__init__(name="own")
        hold(self)
        self._call = call
        self.seen = 0

    def call(self, x, training=None):
        return self._call(self, x, training)


def held_in_attributes(model):
    model.first, model._second = layers.Dense(8, "relu", name="first"), layers.Dense(3, name="second")


def held_in_a_dictionary(model):
    model.steps = {"a": layers.Dense(8, "relu", name="a"), "b": [layers.Dense(3, name="b")]}


def held_in_odd_places(model):
    model.pair = Pair(layers.Dense(8, "relu", name="a"), (layers.Dense(6, name="b"), None))
    model.others = collections.defaultdict(list, last=layers.Dense(3, name="c"))


def held_in_blocks(model):
    model.stem, model.head = layers.Dense(8, name="stem"), layers.Dense(3, name="head")
    model.blocks = [Block(8, name="one"), Block(8, name="two")]


def held_in_models(model):
    model.encoder = keras.Sequential([layers.Dense(8, "relu", name="a"), Block(8, name="block")], name="encoder")
    model.decoder = keras.Sequential([layers.Dense(6, "relu", name="b"), layers.Dense(3, name="c")], name="decoder")


def held_in_wrappers(model):
    model.inner = layers.Dense(8, "relu", name="inner")
    model.each = layers.TimeDistributed(model.inner, name="each")
    model.head = layers.Dense(3, name="head")


def blocks_called_twice(model, x, training):
    x = model.stem(x)
    for block in (*model.blocks, model.blocks[0]):
        x = block(x, training=training)
    return model.head(x)


def in_wrappers(model, x, training):
    x = model.each(ops.stack([x, 2 * x], axis=1))
    return model.head(ops.concatenate([x[:, 0], model.inner(x[:, 1, :4])], axis=-1))


MODELS = {
    "attributes": (held_in_attributes, lambda model, x, training: model._second(model.first(x))),
    "dictionary": (held_in_a_dictionary, lambda model, x, training: model.steps["b"][0](model.steps["a"](x))),
    "odd places": (
        held_in_odd_places,
        lambda model, x, training: model.others["last"](model.pair.second[0](model.pair.first(x))),
    ),
    "blocks": (held_in_blocks, blocks_called_twice),
    "models": (held_in_models, lambda model, x, training: model.decoder(model.encoder(x, training=training))),
    "wrappers": (held_in_wrappers, lambda model, x, training: model.head(model.each(x[:, None])[:, 0])),
}
NOTED = ("_inbound_nodes", "_outbound_nodes", "_keras_slim_reading")
"""Where Keras notes each call, and the library how the model was read."""
X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
Y = X[:, :3]
DATA = batches(X, Y)


def trained(hold, call):
    """Returns a subclassed model after a step, its statistics and slots not what they were at first."""
    keras.utils.set_random_seed(0)
    model = Own(hold, call)
    model.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=True)
    model.fit(DATA, verbose=0)
    return model


def with_blocks():
    """Returns a functional model in which a layer holds layers, after a step."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3)(Block(8, name="block")(layers.Dense(8, name="stem")(inputs))))
    model.block = model.get_layer("block")
    model.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=True)
    model.fit(DATA, verbose=0)
    return model


def half(subject):
    """Returns what a cut of every second unit leads to."""
    graph = subject.analyse()
    return rebuild(graph, np.arange(graph.num_units) % 2 == 0)


def state_of(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [id(each) for each in variables], [keras.ops.convert_to_numpy(each) for each in variables]


def check_same_state(one, other):
    assert one[0] == other[0]
    for value, now in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(value, now)


def numbers(model, inputs):
    return keras.ops.convert_to_numpy(model(inputs))


def shapes(weights):
    return [tuple(each.shape) for each in weights]


def moments(model):
    """Returns the first moment that the optimizer keeps of each weight, by the id of the weight."""
    optimizer = model.optimizer
    return {
        id(w): keras.ops.convert_to_numpy(m)
        for w, m in zip(optimizer._trainable_variables, optimizer._momentums, strict=True)
    }


@pytest.mark.parametrize(("hold", "call"), MODELS.values(), ids=MODELS)
def test_a_subclassed_model_becomes_the_smaller_one(hold, call, tmp_path):
    model = trained(hold, call)
    subject = Subject(model)
    assert subject.target is model
    before, slots, held = model.count_params(), moments(model), [type(each) for each in model._flatten_layers()]
    smaller, transfers = half(subject)
    expected = numbers(smaller, X)
    untouched = state_of(model)
    subject.check_adoptable(smaller, transfers)
    check_same_state(state_of(model), untouched)
    subject.adopt(smaller, transfers)
    np.testing.assert_allclose(numbers(model, X), expected, atol=1e-6)
    assert model.count_params() == smaller.count_params() < before
    if hold is not held_in_models:  # whose blocks are opened
        assert [type(each) for each in model._flatten_layers()] == held
    assert {id(each) for each in model.variables} >= {id(each) for each in smaller.variables}
    for transfer in transfers:  # of the slots what is left of the weights
        if transfer.old.trainable:
            np.testing.assert_array_equal(moments(model)[id(transfer.new)], transfer.cut(slots[id(transfer.old)]))
    model.fit(DATA, verbose=0)
    assert np.abs(numbers(model, X) - expected).max() > 1e-4  # it is the new weights that are trained
    model.save_weights(tmp_path / "w.weights.h5")
    after = numbers(model, X)
    model.fit(DATA, verbose=0)
    model.load_weights(tmp_path / "w.weights.h5")
    np.testing.assert_array_equal(numbers(model, X), after)
    subject.adopt(*half(subject))  # and once more
    model.fit(DATA, verbose=0)


@pytest.mark.parametrize("name", ["blocks", "models"])
def test_it_grows_again(name):
    model = trained(*MODELS[name])
    subject = Subject(model)
    before, answers = state_of(model), numbers(model, X)
    snapshot = subject.snapshot()
    subject.adopt(*half(subject))
    model.fit(DATA, verbose=0)
    snapshot.restore()
    np.testing.assert_array_equal(numbers(model, X), answers)
    assert state_of(model)[0] == before[0]
    model.fit(DATA, verbose=0)


def held_by_a_function(model):
    dense, model.head = layers.Dense(8, "relu", name="first"), layers.Dense(3, name="head")
    model.first = dense
    model.run = lambda x: dense(x)


def held_with_a_size(model):
    held_in_attributes(model)
    model.width = 8


REFUSED = {
    "a layer in a function": (held_by_a_function, lambda model, x, training: model.head(model.run(x))),
    "a size": (
        held_with_a_size,
        lambda model, x, training: model._second(model.first(x) * (model.first.units / model.width + 1)),
    ),
}


@pytest.mark.parametrize(("hold", "call"), REFUSED.values(), ids=REFUSED)
def test_code_that_would_not_follow_is_refused_and_the_model_is_as_it_was(hold, call):
    model = trained(hold, call)
    subject = Subject(model)
    smaller, transfers = half(subject)
    before, answers, layers_before = state_of(model), numbers(model, X), list(model.layers)
    for attempt in (subject.check_adoptable, subject.adopt):
        with pytest.raises(UnsupportedLayerError, match="'own'"):
            attempt(smaller, transfers)
        check_same_state(state_of(model), before)
        np.testing.assert_array_equal(numbers(model, X), answers)
        assert all(one is other for one, other in zip(model.layers, layers_before, strict=True))
    model.fit(DATA, verbose=0)


def test_a_functional_model_with_blocks_becomes_a_plain_one_that_loads_without_their_code(tmp_path):
    model = with_blocks()
    subject = Subject(model)
    slots = moments(model)
    smaller, transfers = half(subject)
    expected = numbers(smaller, X)
    subject.adopt(smaller, transfers)
    np.testing.assert_allclose(numbers(model, X), expected, atol=1e-6)
    assert isinstance(model.block, keras.Model)
    assert model.block is model.get_layer("block")
    for transfer in transfers:
        if transfer.old.trainable:
            np.testing.assert_array_equal(moments(model)[id(transfer.new)], transfer.cut(slots[id(transfer.old)]))
    model.fit(DATA, verbose=0)
    model.save(tmp_path / "plain.keras")
    loaded = keras.saving.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(numbers(loaded, X), numbers(model, X))
    loaded.fit(DATA, verbose=0)
    model.fit(DATA, verbose=0)  # the slots were loaded to their weights
    np.testing.assert_allclose(numbers(loaded, X), numbers(model, X), atol=1e-6)


def test_other_models_follow():
    model = trained(*MODELS["models"])
    view = keras.Model(model.encoder.inputs, model.encoder.layers[0].output)
    encoder = model.encoder
    subject = Subject(model)
    smaller, transfers = half(subject)
    subject.adopt(smaller, transfers)
    assert model.encoder is encoder
    assert encoder.layers[0].units == 4
    assert view.layers[-1] is encoder.layers[0]
    np.testing.assert_allclose(numbers(lambda x: model.decoder(encoder(x)), X), numbers(model, X), atol=1e-6)


class Adversarial(keras.Model):
    """Two networks and an optimizer for each; what the model itself computes is nowhere said."""

    def __init__(self):
        super().__init__(name="adversarial")
        self.generator = keras.Sequential(
            [keras.Input((5,)), layers.Dense(8, "relu", name="a"), layers.Dense(4, name="b")], name="generator"
        )
        self.critic = keras.Sequential(
            [keras.Input((4,)), layers.Dense(8, "relu", name="c"), layers.Dense(1, name="d")], name="critic"
        )

    def compile(self):
        super().compile(run_eagerly=True)
        self.first, self.second = keras.optimizers.Adam(0.01), keras.optimizers.SGD(0.01, momentum=0.9)

    def train_step(self, real):
        import tensorflow as tf

        noise = tf.ones((len(real), 5))
        for network, optimizer, sign in ((self.critic, self.first, -1), (self.generator, self.second, 1)):
            with tf.GradientTape() as tape:
                loss = sign * tf.reduce_mean(self.critic(real) - self.critic(self.generator(noise)))
            weights = network.trainable_weights
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a training step written in TensorFlow")
def test_a_part_of_what_has_no_call_is_cut_by_itself():
    model = Adversarial()
    model.compile()
    model.fit(X, verbose=0)
    critic = numbers(model.critic, X)
    subject = Subject(model, part="generator")
    assert subject.target is model.generator
    snapshot, noise = subject.snapshot(), np.ones((2, 5), "float32")
    answers = numbers(model.generator, noise)
    smaller, transfers = half(subject)
    expected = numbers(smaller, noise)
    subject.adopt(smaller, transfers)
    assert (model.generator.layers[0].units, model.critic.layers[0].units) == (4, 8)
    np.testing.assert_allclose(numbers(model.generator, noise), expected, atol=1e-6)
    np.testing.assert_array_equal(numbers(model.critic, X), critic)
    model.fit(X, verbose=0)
    assert np.abs(numbers(model.generator, noise) - expected).max() > 0
    snapshot.restore()
    np.testing.assert_array_equal(numbers(model.generator, noise), answers)
    model.fit(X, verbose=0)


def whole_functional():
    model = trained(*MODELS["models"])
    inputs = keras.Input((4,))
    whole = keras.Model(inputs, model.decoder(model.encoder(inputs)))
    whole.compile("sgd", "mse", run_eagerly=True)
    return whole


@pytest.mark.parametrize(
    "make", [lambda: trained(*MODELS["models"]), whole_functional], ids=["subclassed", "functional"]
)
@pytest.mark.parametrize(
    ("part", "left", "other"), [("encoder", {"encoder"}, "decoder"), ("decoder", {"decoder"}, "encoder")]
)
def test_a_part_of_what_can_be_read_is_cut_within_the_whole(make, part, left, other):
    model = make()
    subject = Subject(model, part=part)
    assert subject.target is model
    groups = subject.analyse().groups
    assert {group.name.partition("/")[0] for group in groups} == left
    weights = [weight for layer in model.layers if layer.name == other for weight in layer.weights]
    smaller, transfers = half(subject)
    expected = numbers(smaller, X)
    subject.adopt(smaller, transfers)
    np.testing.assert_allclose(numbers(model, X), expected, atol=1e-6)
    now = [weight for layer in model.layers if layer.name == other for weight in layer.weights]
    unchanged = sorted(map(math.prod, shapes(weights))) == sorted(map(math.prod, shapes(now)))
    assert unchanged == (part == "decoder")  # what comes out of the encoder goes into the decoder


def test_a_part_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ValueError, match="'encoder', 'decoder'.*'head'|encoder, decoder"):
        Subject(trained(*MODELS["models"]), part="head")


@pytest.mark.parametrize("name", ["blocks", "models"])
def test_a_cut_that_fails_at_any_step_leaves_everything_as_it_was(name):
    model = trained(*MODELS[name])
    subject = Subject(model)
    made = half(subject)
    expected, before, picture = numbers(made[0], X), numbers(model, X), Picture(model, without=NOTED)
    # of the same line a few times: the same is done for each of many layers
    for number, failing in enumerate(
        Steps("keras_slim.pruning.adopt", "keras_slim.pruning.attributes", most=2, every=17).each()
    ):
        with contextlib.suppress(FailureError), failing as steps:
            subject.adopt(*made)
        if picture.differences():  # it got through, or failed when all had been done
            break
        if number % 10 == 0:
            np.testing.assert_array_equal(numbers(model, X), before)
    assert number > 10
    np.testing.assert_allclose(numbers(model, X), expected, atol=1e-6, err_msg=str(steps.place))
    model.fit(DATA, verbose=0)


def held_with_keys(model):
    model.first, model.norm = layers.Dense(8, name="first"), layers.BatchNormalization(name="norm")
    model._second = layers.Dense(3, name="second")
    model.factors = {model.first: 2.0}


def looked_up(model, x, training):
    return model._second(model.norm(model.first(x), training=training) * model.factors[model.first])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a checkpoint of TensorFlow")
def test_checkpoints_of_tensorflow_hold_the_smaller_layers(tmp_path):
    import tensorflow as tf

    model = trained(held_with_keys, looked_up)
    subject = Subject(model)
    snapshot = subject.snapshot()
    subject.adopt(*half(subject))
    for name in ("smaller", "as large as before"):
        path, expected = tf.train.Checkpoint(model).save(tmp_path / name), numbers(model, X)
        model.fit(DATA, verbose=0)
        assert np.abs(numbers(model, X) - expected).max() > 0
        tf.train.Checkpoint(model).restore(path)
        np.testing.assert_array_equal(numbers(model, X), expected)
        tf.saved_model.save(model, tmp_path / "saved")  # which would not find the weights that it uses
        snapshot.restore()
