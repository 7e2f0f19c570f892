"""Kernels fitted from input to output, each on what the network puts out that is made of those fitted so far."""

import keras
import numpy as np
import scipy.linalg

from keras_slim.graph.analysis import analyse
from keras_slim.graph.channels_first import clear_about_channels_first
from keras_slim.graph.program import Program
from keras_slim.graph.running import KeptState
from keras_slim.kernels.backends import without_gradients
from keras_slim.lowrank.seen import Seen, looked_at
from keras_slim.progress_display import progress
from keras_slim.pruning.lock_step import LockStep
from keras_slim.pruning.silent_program import SilentProgram

RIDGE = 1e-6
"""Penalty on the squares of what a fitted kernel differs from the layer's own, as a share of the mean variance."""


def fitted(model, planned, batches, memory, verbose):
    """Returns the factors of each layer, and its bias, with which the network answers most as the model does.

    The model and a twin whose kernels are those products go through the data side by side. Before each layer both stop;
    the kernel is fitted that makes of the twin's inputs what the model's makes of its own, by least squares, then the
    best factors of that for the twin's inputs (reduced-rank regression), and the twin goes on with their product. A
    layer that is called several times is fitted where it is called first.

    Args:
        model: A Functional or built Sequential model.
        planned: Dictionary from layers to `(kind, scheme, ranks)`.
        batches: As `calibration_inputs` returns them.
        memory: Bytes of activations to hold at most, in both networks, and of second moments of one layer.
        verbose: 0 shows nothing, 1 how far it is, if it takes more than five seconds.

    Returns:
        Dictionary from layers to `(Factors, bias)`; the bias is `None` where there is none.
    """
    kinds = {layer: kind for layer, (kind, _, _) in planned.items()}
    found = {}

    def fit(layer, seen):
        kind, scheme, ranks = planned[layer]
        found[layer] = plain({layer: planned[layer]})[layer] if seen is None else _fit(kind, scheme, ranks, seen)
        factors, bias = found[layer]
        return factors.product(), bias

    fit_in_turn(model, kinds, fit, batches, memory, "Fitting factors", verbose)
    return found


@without_gradients()
def fit_in_turn(model, kinds, fit, batches, memory, title, verbose, others=(), centered=True):
    """Fits kernels from input to output, each to what the network puts out whose kernels are fitted so far.

    A layer that is called several times is fitted where it is called first.

    Args:
        model: A Functional or built Sequential model.
        kinds: The `Factorable`s whose kernels are fitted, by layer.
        fit: Function of a layer and what is `Seen`, `None` where data tells nothing, that returns the kernel and the
            bias, `None` where it stays.
        batches: As `calibration_inputs` returns them.
        memory: Bytes of activations to hold at most, in both networks.
        title: What is shown beside how far it is.
        verbose: 0 shows nothing, 1 how far it is, if it takes more than five seconds.
        others: Pairs of variables and what else they are in the other network from the beginning.
        centered: Whether means do not count where a layer has a bias, which makes up for them.
    """
    seeing = looked_at(kinds, memory)
    graph, program = analyse(model), Program(model)
    twin = SilentProgram(graph, np.ones(graph.num_units, bool), program)
    for variable, value in others:
        twin.set(variable, value)
    first_calls = {}
    for index, call in enumerate(program.calls):
        if call.operation in kinds:
            first_calls.setdefault(call.operation, index)
    state = KeptState(model)
    with clear_about_channels_first(model), state:
        networks = LockStep(program, twin, batches, [*first_calls.values()], memory)
        with progress(title, "layers", verbose) as counted:
            for layer, index in counted(first_calls.items()):
                kind, seen = kinds[layer], None
                if layer in seeing:
                    seen = Seen(kind, centered and kind.bias is not None)
                    for piece in networks.carry_to(index):
                        before, after = networks.look(piece, program.calls[index].inputs[0])
                        seen.add(after, before, piece.share)
                    seen.check()
                kernel, bias = fit(layer, seen)
                twin.set(kind.variable, kernel)
                if bias is not None:
                    twin.set(kind.bias, bias)


def _fit(kind, scheme, ranks, seen):
    """Returns the factors that make of what the twin reads what the layer makes of what it reads, and the bias."""
    kernel = kind.kernel
    flat = kernel.reshape(-1, kernel.shape[-1])
    gram = seen.gram()
    ridge = (RIDGE * np.trace(gram) / len(gram) or 1.0) * np.eye(len(gram))
    wanted = scipy.linalg.solve(gram + ridge, (seen.cross() + ridge) @ flat, assume_a="pos")
    factors = scheme.fit(wanted.reshape(kernel.shape), ranks, gram)
    if kind.bias is None:
        return factors, None
    before, after = seen.means()
    shift = before @ flat - after @ factors.product().reshape(flat.shape)
    return factors, keras.ops.convert_to_numpy(kind.bias).astype(float) + shift


def plain(planned):
    """Returns the factors of each layer without a look at data, as `fitted` does."""
    return {layer: (scheme.fit(kind.kernel, ranks), None) for layer, (kind, scheme, ranks) in planned.items()}
