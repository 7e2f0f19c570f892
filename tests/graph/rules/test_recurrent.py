import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.graph import analyse, register_rule
from keras_slim.pruning.surgery import rebuild


def groups_of(model):
    return {group.name: (group.layers, group.size) for group in analyse(model).groups}


def reasons_of(model):
    return {name: whole.reasons for whole in analyse(model).whole for name in whole.layers}


def with_head(inputs, x):
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@pytest.mark.parametrize(("layer", "gates"), [(layers.LSTM, 4), (layers.GRU, 3), (layers.SimpleRNN, 1)])
def test_a_unit_has_a_column_for_each_gate_and_a_row(layer, gates):
    inputs = keras.Input((5, 2))
    old = layer(3, name="recurrent", bias_initializer="random_normal")
    model = with_head(inputs, old(inputs))
    new = rebuild(analyse(model), np.array([True, False, True]))[0].get_layer("recurrent")
    columns = [gate * 3 + unit for gate in range(gates) for unit in (0, 2)]
    assert new.units == 2
    np.testing.assert_array_equal(new.cell.kernel, old.cell.kernel.numpy()[:, columns])
    np.testing.assert_array_equal(new.cell.recurrent_kernel, old.cell.recurrent_kernel.numpy()[[0, 2]][:, columns])
    np.testing.assert_array_equal(new.cell.bias, old.cell.bias.numpy()[..., columns])


def test_the_state_that_comes_in_and_the_one_that_goes_out_are_the_layers_units():
    inputs = keras.Input((5, 2))
    start = layers.Dense(6, name="start")(layers.GlobalMaxPooling1D()(inputs))
    _, hidden, carry = layers.LSTM(6, return_state=True, name="first")(inputs, initial_state=[start, start])
    x = layers.GRU(6, name="second")(inputs, initial_state=hidden)
    model = with_head(inputs, layers.Concatenate()([x, carry]))
    assert groups_of(model) == {"start": (("start", "first", "second"), 6)}


def test_a_state_from_outside_keeps_the_units_whole():
    inputs, state = keras.Input((5, 2)), keras.Input((6,))
    model = with_head([inputs, state], layers.GRU(6, name="gru")(inputs, initial_state=state))
    assert reasons_of(model)["gru"] == ("tied to channels that are never cut",)


@pytest.mark.parametrize("which", ["activation", "recurrent_activation"])
def test_an_activation_that_mixes_units_keeps_them_whole(which):
    inputs = keras.Input((5, 2))
    model = with_head(inputs, layers.LSTM(6, **{which: "softmax"}, name="lstm")(inputs))
    assert reasons_of(model)["lstm"] == ("activation 'softmax' mixes the channels",)


def test_each_cell_of_a_stack_is_a_group():
    inputs = keras.Input((5, 2))
    model = with_head(inputs, layers.RNN([layers.LSTMCell(4), layers.GRUCell(5)], name="rnn")(inputs))
    assert groups_of(model) == {"rnn:cells/0": (("rnn:cells/0",), 4), "rnn": (("rnn",), 5)}
    keep = np.arange(9) != 1
    cells = rebuild(analyse(model), keep)[0].get_layer("rnn").cell.cells
    assert [cell.units for cell in cells] == [3, 5]
    assert cells[1].kernel.shape == (3, 15)


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
def test_the_two_directions_are_tied_in_pairs(merge_mode):
    inputs = keras.Input((5, 2))
    x = layers.Bidirectional(layers.LSTM(6), merge_mode=merge_mode, name="both")(inputs)
    model = with_head(inputs, x if merge_mode else layers.Concatenate()(x))
    assert groups_of(model) == {"both": (("both", "both:backward"), 6)}
    small = rebuild(analyse(model), np.arange(6) < 4)[0]
    both = small.get_layer("both")
    assert (both.forward_layer.units, both.backward_layer.units) == (4, 4)
    assert small.get_layer("head").kernel.shape[0] == (8 if merge_mode in ("concat", None) else 4)


def test_a_layer_at_each_step_is_cut_as_it_is_alone():
    inputs = keras.Input((3, 8, 2))
    x = layers.TimeDistributed(layers.Conv1D(6, 3, name="inner"), name="steps")(inputs)
    x = layers.TimeDistributed(layers.Flatten())(x)
    model = with_head(inputs, x)
    assert groups_of(model) == {"steps": (("steps",), 6)}
    small = rebuild(analyse(model), np.arange(6) < 4)[0]
    assert small.get_layer("steps").layer.filters == 4
    assert small.get_layer("head").kernel.shape == (24, 2)


def test_what_has_no_rule_has_none_at_each_step_either():
    inner = layers.SpectralNormalization(layers.Dense(3))
    inputs = keras.Input((3, 4))
    x = layers.Dense(6, name="before")(inputs)
    x = layers.TimeDistributed(inner, name="steps")(x)
    model = with_head(inputs, layers.Dense(5, name="after")(x))
    assert list(groups_of(model)) == ["after"]
    assert reasons_of(model)["before"][0].startswith("SpectralNormalization has no rule")
    small = rebuild(analyse(model), np.arange(5) < 4)[0]
    assert small.count_params() == model.count_params() - (3 + 1 + 2)


def test_statistics_at_each_step_keep_the_units_whole():
    inputs = keras.Input((3, 4))
    x = layers.TimeDistributed(layers.LayerNormalization())(layers.Dense(6, name="before")(inputs))
    model = with_head(inputs, x)
    assert "statistics" in reasons_of(model)["before"][0]


class Decaying(layers.Layer):
    """A cell of a user's own: `state = decay * state + inputs @ kernel`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = self.output_size = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.decay = self.add_weight(shape=(self.units,), name="decay")

    def call(self, inputs, states):
        state = self.decay * states[0] + keras.ops.matmul(inputs, self.kernel)
        return state, [state]

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def test_a_cell_of_a_users_own_needs_a_rule_and_can_have_one():
    keras.saving.register_keras_serializable("tests")(Decaying)
    inputs = keras.Input((5, 2))
    model = with_head(inputs, layers.RNN(Decaying(6), name="rnn")(inputs))
    assert reasons_of(model)["rnn"] == ("Decaying has no rule",)

    @register_rule(Decaying)
    def decaying(call):
        units = call.new_units(call.layer.units)
        call.weight(call.layer.kernel, consumes={0: call.inputs[0].along(-1)}, produces={1: units})
        call.weight(call.layer.decay, follows={0: units})
        call.resize("units", units)
        return [call.output({-1: units}, index) for index in range(2)]

    assert groups_of(model) == {"rnn": (("rnn",), 6)}
    small = rebuild(analyse(model), np.arange(6) < 4)[0]
    assert small.get_layer("rnn").cell.units == 4
    assert small(np.zeros((2, 5, 2))).shape == (2, 2)
