"""Running a model on one batch again and again, each time with other layers changed."""

from keras_slim.graph.masks import mask_of, set_mask
from keras_slim.graph.nodes import is_graph
from keras_slim.graph.registry import find_rule
from keras_slim.graph.running import KeptState, called, run


class Replay:
    """A run of a model on one batch, of which only what comes after a change is computed again.

    It holds what every call of the batch put out.

    Args:
        model: The model. Its states are as they were after every run.
        inputs: Its inputs, flat.

    Attributes:
        outputs: What the model put out, in its structure.
    """

    def __init__(self, model, inputs):
        self._model = model
        self._inputs = inputs
        self._calls = []  # of the first run, in order: what went in, the masks that it had, and what came out
        self._keeps_calls = True
        self._state = KeptState(model)
        with self._state:
            self.outputs = self._run(lambda operation: None)
            self._state.narrow()  # every run makes the same calls, so that what this one left alone they do too
        self._keeps_calls = not self._adds_losses()

    def again(self, replace):
        """Returns what the model puts out after a change.

        Args:
            replace: Function from a layer to what takes its place: the layer itself where only its weights are others,
                `None` where nothing is.
        """
        with self._state:
            return self._run(replace)

    def _run(self, replace):
        calls = iter([*self._calls])

        def call(node, given, args, kwargs):
            if is_graph(node.operation) and find_rule(node.operation) is None:
                return run(node.operation, given, call)
            before, masks, outputs = next(calls, (None, None, None))
            is_same = before is not None and all(new is old for new, old in zip(given, before, strict=True))
            other = replace(node.operation)
            if is_same and self._keeps_calls and other is None:
                return outputs
            if before is None:
                masks = [mask_of(value) for value in given]
            else:
                for new, old, mask in zip(given, before, masks, strict=True):
                    if new is old:
                        set_mask(new, mask)  # attention has taken it off
            outputs = called(node.operation if other is None else other, args, kwargs)
            if before is None:
                self._calls.append((given, masks, outputs))
            return outputs

        return run(self._model, self._inputs, call)

    def _adds_losses(self):
        """Tells whether a call adds to the loss: only a call that is made anew adds what belongs to this run."""
        penalised = [weight for weight in self._model.trainable_weights if weight.regularizer is not None]
        return len(self._model.losses) > len(penalised)
