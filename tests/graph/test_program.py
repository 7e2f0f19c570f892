"""A program makes the calls of its model, each once, in an order in which nothing is missing."""

import keras
import numpy as np
import pytest
from keras import layers
from model_zoo import inputs_for, randomise
from zoo import BUILDERS

from keras_slim.graph.program import Program


def carried_out(program, inputs):
    values = dict(zip(program.inputs, inputs, strict=True))
    for call in program.calls:
        values.update(call(values))
    return values


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_the_calls_lead_to_what_the_model_puts_out(build, uncompiled_adder_layers):
    model = randomise(build())
    x = inputs_for(model, model.inputs[0].shape[0] or 4)
    expected = keras.tree.flatten(model(x))
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_states()
    program = Program(model)
    values = carried_out(program, [keras.ops.convert_to_tensor(each) for each in keras.tree.flatten(x)])
    for tensor, answer in zip(model.outputs, expected, strict=True):
        np.testing.assert_allclose(values[program.places[id(tensor)][-1]], answer, rtol=1e-5, atol=1e-6)


def encoder():
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(3, name="inner")(inputs), name="encoder")


def test_a_model_that_is_called_twice_is_there_twice():
    shared, first, second = encoder(), keras.Input((4,)), keras.Input((4,))
    model = keras.Model([first, second], layers.Concatenate()([shared(first), shared(second)]))
    program = Program(model)
    assert [call.operation.name for call in program.calls] == ["inner", "inner", "concatenate"]
    assert program.places[id(shared.outputs[0])] == [2, 3]
    assert program.places[id(shared.inputs[0])] == [0, 1]
    assert program.calls[2].inputs == (2, 3)


def test_an_output_of_an_inner_model_is_one_value_with_that_of_its_call():
    inner, inputs = encoder(), keras.Input((4,))
    outputs = inner(inputs)
    program = Program(keras.Model(inputs, outputs))
    assert program.places[id(outputs)] == program.places[id(inner.outputs[0])] == [1]


def test_a_copy_has_the_same_numbers():
    model = randomise(BUILDERS[0]())
    copy = keras.models.clone_model(model)
    pairs = zip(Program(model).calls, Program(copy).calls, strict=True)
    assert all((first.inputs, first.outputs) == (second.inputs, second.outputs) for first, second in pairs)


@pytest.mark.parametrize(("shape", "size"), [((None, 4), None), ((8, 4), 8)])
def test_a_fixed_batch_is_told(shape, size):
    inputs = keras.Input(batch_shape=shape)
    assert Program(keras.Model(inputs, layers.Dense(2)(inputs))).batch_size == size
