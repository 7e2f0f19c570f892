"""Kernels fitted from input to output, each on what the network puts out that is made of those fitted so far."""

import numpy as np

from keras_slim.graph.analysis import analyse
from keras_slim.graph.channels_first import clear_about_channels_first
from keras_slim.graph.program import Program
from keras_slim.graph.running import KeptState
from keras_slim.kernels.backends import without_gradients
from keras_slim.lowrank.seen import looked_at
from keras_slim.progress_display import progress
from keras_slim.pruning.lock_step import LockStep
from keras_slim.pruning.silent_program import SilentProgram


def fitted(model, planned, batches, memory, verbose):
    """Returns the factors of each layer, and its offset, with which the network answers most as the model does.

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
        Dictionary from layers to `(Factors, offset)`; the offset is `None` where there is none.
    """
    kinds = {layer: kind for layer, (kind, _, _) in planned.items()}
    found = {}

    def fit(layer, seen):
        kind, scheme, ranks = planned[layer]
        found[layer] = plain({layer: planned[layer]})[layer] if seen is None else kind.fitted(scheme, ranks, seen)
        return kind.values(*found[layer])

    fit_in_turn(model, kinds, fit, batches, memory, "Fitting factors", verbose)
    return found


@without_gradients()
def fit_in_turn(model, kinds, fit, batches, memory, title, verbose, others=(), centered=True, depth=5):
    """Fits kernels from input to output, each to what the network puts out whose kernels are fitted so far.

    A layer that is called several times is fitted where it is called first.

    Args:
        model: A Functional or built Sequential model.
        kinds: The `Factorable`s whose kernels are fitted, by layer.
        fit: Function of a layer and what is `Seen`, `None` where data tells nothing, that returns pairs of variables
            and what these become.
        batches: As `calibration_inputs` returns them.
        memory: Bytes of activations to hold at most, in both networks.
        title: What is shown beside how far it is.
        verbose: 0 shows nothing, 1 how far it is, if it takes more than five seconds.
        others: Pairs of variables and what else they are in the other network from the beginning.
        centered: Whether means do not count where a bias, or batch normalization, makes up for them.
        depth: How many calls above this one the user's is, with that of a decorator, for a warning.
    """
    seeing = looked_at(kinds, memory, depth)
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
                    seen = kind.seen(centered)
                    for piece in networks.carry_to(index):
                        both = (networks.look(piece, number) for number in kind.reads(program.calls[index]))
                        before, after = zip(*both, strict=True)
                        seen.add(after, before, piece.share)
                    seen.check()
                for variable, value in fit(layer, seen):
                    twin.set(variable, value)


def plain(planned):
    """Returns the factors of each layer without a look at data, as `fitted` does."""
    return {layer: (scheme.fit(kind.kernel, ranks), None) for layer, (kind, scheme, ranks) in planned.items()}
