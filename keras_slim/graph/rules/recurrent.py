"""Recurrent layers, their cells, and layers around a layer.

A cell is a layer with a rule of its own: it is called with a step of the sequence, then with those states that the
caller gave, and puts out its output, then its new states. What runs it over the steps asks that rule.
"""

import keras
import numpy as np

from keras_slim.graph.channels import Channels
from keras_slim.graph.registry import find_rule, register_rule
from keras_slim.graph.rules.convolution import channel_axis
from keras_slim.graph.rules.elementwise import mixing


@register_rule(keras.layers.SimpleRNNCell, keras.layers.LSTMCell, keras.layers.GRUCell)
def keras_cell(call):
    """A unit is one element of the state: a column for each gate, and the row with which all gates read it."""
    layer, (inputs, *_) = call.layer, call.inputs
    units = call.new_units(layer.units)
    gates = np.tile(units, layer.kernel.shape[-1] // layer.units)
    call.weight(layer.kernel, consumes={0: inputs.along(-1)}, produces={1: gates})
    call.linear(layer.kernel, 0, inputs.along(-1), layer.bias)
    call.weight(layer.recurrent_kernel, consumes={0: units}, produces={1: gates})
    call.weight(layer.bias, follows={-1: gates})
    call.resize("units", units)
    return _with_states(call, -1, units)


@register_rule("ConvLSTMCell")
def convolutional_cell(call):
    """A unit is one filter of the state: one for each gate, and the channel with which all gates read it."""
    layer, (inputs, *_) = call.layer, call.inputs
    axis = channel_axis(layer)
    units = call.new_units(layer.filters)
    gates = np.tile(units, layer.kernel.shape[-1] // layer.filters)
    call.weight(layer.kernel, consumes={-2: inputs.along(axis)}, produces={-1: gates})
    call.linear(layer.kernel, -2, inputs.along(axis), layer.bias)
    call.weight(layer.recurrent_kernel, consumes={-2: units}, produces={-1: gates})
    call.weight(layer.bias, follows={0: gates})
    call.resize("filters", units)
    return _with_states(call, axis, units)


def _with_states(call, axis, units):
    """Ties the given states with a cell's units, and returns the channels of its output and of its new states."""
    shape = call.output_shapes[0]
    for function in (call.layer.activation, getattr(call.layer, "recurrent_activation", None)):
        reason = mixing(function, shape, axis % len(shape), call.layer.compute_dtype)
        if reason:
            call.keep_whole(units, reason)
    for state in call.inputs[1:]:
        call.tie(units, state.along(axis))
    for channels in call.inputs:
        for other, atoms in channels.axes.items():
            if other != axis % len(channels.shape):
                call.keep_whole(atoms, "its units lie along positions that the layer mixes")
    return [call.output({axis: units}, index) for index in range(len(call.output_shapes))]


@register_rule(keras.layers.StackedRNNCells)
def stacked_cells(call):
    """Each cell has units of its own, and reads those of the one before."""
    (step, *given), (output, *states) = call.inputs, call.output_shapes
    new_states = []
    for index, each in enumerate(call.layer.cells):
        count = len(keras.tree.flatten(each.state_size))
        is_last = index == len(call.layer.cells) - 1
        part = None if is_last else f"cells/{index}"
        shapes = [output if is_last else states[0], *states[:count]]
        step, *new = call.inner(each, ("cells", index, "config"), [step, *given[:count]], shapes, part)
        new_states += new
        given, states = given[count:], states[count:]
    return [step, *new_states]


@register_rule(keras.layers.RNN)
def recurrent(call):
    """Its units are those of the cell; steps are mixed."""
    return _over_time(call, ("cell", "config"))


@register_rule(
    keras.layers.SimpleRNN,
    keras.layers.LSTM,
    keras.layers.GRU,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)
def recurrent_of_one_kind(call):
    """As `RNN`, but the config of the cell is spread in that of the layer."""
    return _over_time(call, ())


def _over_time(call, entry):
    """Asks the rule of a recurrent layer's cell, whose config lies under an entry of the layer's."""
    layer, sequence = call.layer, call.inputs[0]
    call.keep_whole(sequence.along(1), "its units lie along the steps that the layer mixes")
    initial = call.argument("initial_state", 1)
    given = [] if initial is None else [call.channels_of(state) for state in keras.tree.flatten(initial)]
    shapes = [tuple(state.shape) for state in keras.tree.flatten(layer.get_initial_state(1))]
    shape = call.output_shapes[0]
    one_output = _without_time(shape) if layer.return_sequences else shape
    output, *states = call.inner(layer.cell, entry, [_one_step(sequence), *given], [one_output, *shapes])
    if initial is None:
        _remember(call, output)
    output = _every_step(output, shape[1]) if layer.return_sequences else output
    return [output, *states][: len(call.output_shapes)]


def _remember(call, output):
    """States that a cell of one of Keras's kinds sums over what its units put out the step before."""
    cell = call.layer.cell
    # In a GRU that resets before, a gate comes between the state and the sum.
    if find_rule(cell) in (keras_cell, convolutional_cell) and getattr(cell, "reset_after", True):
        axis = channel_axis(cell) % len(output.shape)
        call.remembered(cell.recurrent_kernel, -2, output.along(axis), call.inputs[0], _states(call.layer), axis + 1)


def _states(layer):
    """Returns the function from a sequence to what a recurrent layer puts out at every step but the last."""

    def states(sequence):
        returned = layer.return_sequences, layer.return_state
        try:
            layer.return_sequences, layer.return_state = True, False
            return layer(sequence)[:, :-1]
        finally:
            layer.return_sequences, layer.return_state = returned

    return states


@register_rule(keras.layers.Bidirectional)
def bidirectional(call):
    """Two layers, one for each direction; their units are tied in pairs, since Keras takes both to be equally wide."""
    layer, sequence = call.layer, call.inputs[0]
    num_outputs = 2 if layer.merge_mode is None else 1
    shape, states = call.output_shapes[0], call.output_shapes[num_outputs:]
    if layer.merge_mode == "concat":
        shape = (*shape[:-1], shape[-1] // 2)
    initial = call.argument("initial_state", 1)
    given = [] if initial is None else [call.channels_of(state) for state in keras.tree.flatten(initial)]
    half = len(given) // 2, len(states) // 2
    forward = call.inner(
        layer.forward_layer, ("layer", "config"), [sequence, *given[: half[0]]], [shape, *states[: half[1]]]
    )
    backward = call.inner(
        layer.backward_layer,
        ("backward_layer", "config"),
        [sequence, *given[half[0] :]],
        [shape, *states[half[1] :]],
        part="backward",
    )
    for axis, atoms in forward[0].axes.items():
        call.tie(atoms, backward[0].along(axis))
    if layer.merge_mode is None:
        outputs = [forward[0], backward[0]]
    elif layer.merge_mode == "concat":
        both = np.concatenate([forward[0].along(-1), backward[0].along(-1)])
        outputs = [call.output({**forward[0].axes, -1: both})]
    else:
        outputs = [call.output(forward[0].axes)]
    return [*outputs, *forward[1:], *backward[1:]]


@register_rule(keras.layers.TimeDistributed)
def time_distributed(call):
    """The layer inside sees one step at a time; units along the steps are handed on."""
    sequence, shape = call.inputs[0], call.output_shapes[0]
    (output,) = call.inner(call.layer.layer, ("layer", "config"), [_one_step(sequence)], [_without_time(shape)])
    steps = {1: sequence.axes[1]} if 1 in sequence.axes else {}
    return call.output({**_every_step(output, shape[1]).axes, **steps})


def _without_time(shape):
    return (shape[0], *shape[2:])


def _one_step(channels):
    """Returns the channels of a sequence, whose axis 1 is the time, at one step."""
    axes = {axis - (axis > 1): atoms for axis, atoms in channels.axes.items() if axis != 1}
    return Channels(_without_time(channels.shape), axes)


def _every_step(channels, steps):
    """Returns the channels of a sequence from those of one step."""
    axes = {axis + (axis > 0): atoms for axis, atoms in channels.axes.items()}
    return Channels((channels.shape[0], steps, *channels.shape[1:]), axes)
