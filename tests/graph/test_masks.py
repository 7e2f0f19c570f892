"""Masks that Keras hands on with values: what is inside a model gets them, and so does a call that is made again."""

import functools

import keras
import numpy as np
import pytest
from keras import layers, ops
from laws import check_law, rebuilt
from model_zoo import randomise

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.graph import analyse
from keras_slim.graph.opening import functional
from keras_slim.graph.program import Program
from keras_slim.pruning import Guards
from keras_slim.pruning.last_look import check_rebuilt
from keras_slim.pruning.lock_step import LockStep
from keras_slim.scoring import criteria, debiasers, unit_scores

LOOSE = Guards(min_units=1, align=1)
TOKENS = np.random.default_rng(0).integers(0, 4, (16, 3))
LABELS = np.random.default_rng(1).normal(size=(16, 2)).astype("float32")
# a model inside does not support masks as far as Keras knows, and warns of what its layers get all the same
pytestmark = pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask attached to it")


class Block(layers.Layer):
    """Holds layers, and leaves masks to Keras."""

    def __init__(self):
        super().__init__(name="block")
        self.wide = layers.Dense(5, "relu", name="wide")
        self.steps = layers.LSTM(4, return_sequences=True, name="steps")

    def call(self, x):
        return self.steps(self.wide(x))


def flat(x, mask=None):
    return Block().call(x)


def stack():
    block = Block()
    return keras.Sequential([keras.Input((3, 6)), block.wide, block.steps])


def sequential(x, mask=None):
    return stack()(x)


def functional_inside(x, mask):
    inputs = keras.Input((3, 6))
    return keras.Model(inputs, flat(inputs))(x)


def inside_another(x, mask):
    inputs = keras.Input((3, 6))
    return keras.Model(inputs, sequential(inputs))(x)


def by_argument(x, mask):
    """Nothing but an argument holds the mask."""
    return stack()(ops.copy(x), mask=mask)


def block(x, mask):
    return Block()(x)


def attention(x, mask, **options):
    x = layers.Dense(5, "relu", name="wide")(x)
    x = layers.MultiHeadAttention(2, 3, name="heads")(x, x, **options)
    return layers.Dense(4, name="behind")(x)


def attention_by_argument(x, mask):
    return attention(ops.copy(x), None, attention_mask=ops.expand_dims(mask, 1) & ops.expand_dims(mask, 2))


def network(inner):
    tokens = keras.Input((3,), dtype="int32")
    x = layers.Embedding(4, 6, mask_zero=True, name="table")(tokens)
    x = inner(x, ops.not_equal(tokens, 0))
    model = functional(randomise(keras.Model(tokens, layers.Dense(2)(layers.Flatten()(x)))))
    model.compile("sgd", "mse", run_eagerly=True)
    return model


@pytest.mark.parametrize("inner", [sequential, functional_inside, inside_another, by_argument, block])
def test_masked_is_as_shrunken_inside_too(inner):
    small, masked = check_law(network(inner), TOKENS)
    np.testing.assert_allclose(small(TOKENS, training=True), masked(TOKENS, training=True), atol=1e-5)


RESULTS = {
    "shrink": lambda model: slim.shrink(model, plan(model), TOKENS, verbose=0)(TOKENS),
    "factorize": lambda model: slim.factorize(model, ranks=2, data=TOKENS, verbose=0)(TOKENS),
    "quantize": lambda model: slim.calibrate(slim.quantize(model, "int", "int", skip=()), TOKENS)(TOKENS),
    "correct_biases": lambda model: slim.correct_biases(model, TOKENS)(TOKENS),
    "oracle": lambda model: scores(model, "oracle"),
    "taylor": lambda model: scores(model, "taylor"),
}


def plan(model):
    return slim.plan_pruning(model, 0.4, debias="none", guards=LOOSE)


def scores(model, name):
    criterion, debias = criteria.get(name, "criterion", "test"), debiasers.get("none", "debias", "test")
    return unit_scores(analyse(model), criterion, debias, (TOKENS, LABELS), owner="test")


@pytest.mark.parametrize("name", RESULTS)
def test_it_is_what_it_would_be_in_one_model(name):
    expected = RESULTS[name](network(flat))
    for inner in (inside_another, by_argument, block):
        found = RESULTS[name](network(inner))
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=inner.__name__)


@pytest.mark.parametrize("name", ["correct_biases", "oracle", "taylor"])
def test_attention_looks_at_no_padding_however_often_it_is_called(name):
    found, expected = (RESULTS[name](network(inner)) for inner in (attention, attention_by_argument))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_look_ahead_leaves_the_mask_for_the_call_that_comes():
    program = Program(network(attention))
    (call,) = (index for index, call in enumerate(program.calls) if call.operation.name == "heads")
    networks = LockStep(program, program, lambda: iter([[TOKENS]]), [call, call + 1], memory=2**20)
    (number,) = program.calls[call].outputs
    (piece,) = networks.carry_to(call)
    seen = networks.look(piece, number)
    networks.carry_to(call + 1)
    np.testing.assert_array_equal(seen, networks.look(piece, number))


def test_what_answers_otherwise_behind_a_mask_is_found():
    model, other = (network(functools.partial(attention, use_causal_mask=causal)) for causal in (False, True))
    check_rebuilt(model, rebuilt(model), TOKENS)
    with pytest.raises(UnsupportedLayerError, match="'heads' is another one when it is made anew"):
        check_rebuilt(model, other, TOKENS)
