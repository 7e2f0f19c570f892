"""Factors fitted from input to output, each on what the network puts out that is made of products so far."""

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


@without_gradients()
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
    seeing = looked_at({layer: kind for layer, (kind, _, _) in planned.items()}, memory)
    graph, program = analyse(model), Program(model)
    twin = SilentProgram(graph, np.ones(graph.num_units, bool), program)
    first_calls = {}
    for index, call in enumerate(program.calls):
        if call.operation in planned:
            first_calls.setdefault(call.operation, index)
    found = {}
    state = KeptState(model)
    with clear_about_channels_first(model), state:
        networks = LockStep(program, twin, batches, [*first_calls.values()], memory)
        with progress("Fitting factors", "layers", verbose) as counted:
            for layer, index in counted(first_calls.items()):
                kind, scheme, ranks = planned[layer]
                if layer not in seeing:
                    found[layer] = plain({layer: planned[layer]})[layer]
                    twin.set(kind.variable, found[layer][0].product())
                    continue
                seen = Seen(kind, kind.bias is not None)
                for piece in networks.carry_to(index):
                    before, after = networks.look(piece, program.calls[index].inputs[0])
                    seen.add(after, before, piece.share)
                seen.check()
                found[layer] = factors, bias = _fit(kind, scheme, ranks, seen)
                twin.set(kind.variable, factors.product())
                if bias is not None:
                    twin.set(kind.bias, bias)
    return found


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
