"""What is cut of a model that is being trained: the whole of it or a part, in a form that can be read."""

import warnings
from collections.abc import Callable

import keras
import numpy as np

from keras_slim.errors import SlimWarning, UnsupportedLayerError, invalid_argument
from keras_slim.graph.analysis import analyse
from keras_slim.graph.channel_graph import ChannelGraph
from keras_slim.graph.closed import is_closed
from keras_slim.graph.kept_reading import Reading
from keras_slim.graph.nodes import calls_of, is_graph
from keras_slim.graph.opening import read_to_prune
from keras_slim.held import layers_within
from keras_slim.pruning.adopt import adopt, check_adoptable, check_follows
from keras_slim.pruning.snapshot import Snapshot
from keras_slim.pruning.surgery import Transfer, rebuild
from keras_slim.pruning.views import all_layers, layers_by_path


class Subject:
    """A model that is cut in place, in the middle of its `fit`.

    A subclassed model, and layers that hold layers or weights, are read as `functional` reads them, anew for each cut.

    With a part, only that is cut. Where the calls of the whole model can be read and the part is among them, they are,
    so that units are scored by the loss of the whole; else the part is read by itself.

    Args:
        model: The compiled model whose `fit` it is.
        part: Name of the attribute, or of the layer, that holds the part, a model. Optional.
        ignore: Names of layers to leave whole.
        owner: Name of the callback, for error messages.
        opens: Function that tells of a layer in a functional model, whose inside cannot be seen, whether it is to be
            read too; if one is, all are. Defaults to those with weights.

    Attributes:
        model: The model.

    Raises:
        ValueError: If there is no such part.
        UnsupportedLayerError: If what is to be cut cannot be read.
    """

    def __init__(
        self,
        model: keras.Model,
        part: str | None = None,
        ignore=(),
        owner: str = "Subject",
        opens: Callable = lambda layer: bool(layer.weights),
    ):
        self.model = model
        self._part = None if part is None else _part_of(model, part, owner)
        self._ignore = ignore
        self._owner = owner
        self._opens = opens
        self._target = model
        self._last: Reading | None = None
        self._stuck: list[str] | None = None
        self._noted: list[tuple[list, int, int]] = []

    @property
    def target(self) -> keras.Model:
        """The model that is cut in place: the model or the part."""
        assert self._reading  # reads it
        return self._target

    @property
    def twin(self) -> keras.Model:
        """What is read in the place of the model that is cut, with its inputs, outputs and loss."""
        return self._reading.twin

    @property
    def _reading(self):
        if self._last is None:
            self._last = self._read()
        return self._last

    @property
    def opened(self) -> list[str]:
        """Names of the layers of a functional model that a cut makes models of their layers."""
        return self._reading.opened(self.target) if is_graph(self.target) else []

    def analyse(self, batch=None) -> ChannelGraph:
        """Returns the channel graph of what is cut, as it is now.

        The first time, layers are found that the code of a subclassed model does not let become smaller; they are left
        whole from then on.

        Args:
            batch: As for `analyse`.

        Warns:
            SlimWarning: Of such layers.
        """
        self._last = self._read()
        graph = self._graph(batch)
        if self._stuck is None:
            self._stuck = self._not_following(graph)
            graph = self._graph(batch) if self._stuck else graph
        return graph

    def check_adoptable(self, smaller: keras.Model, transfers: list[Transfer]) -> None:
        """Raises what `adopt` would raise, and leaves the model as it is."""
        check_adoptable(self.target, smaller, transfers, self._reading, self.model)

    def adopt(self, smaller: keras.Model, transfers: list[Transfer], stacks: dict | None = None) -> None:
        """Makes what is cut the smaller model; if that fails, the model is as it was. `stacks` as for `adopt`."""
        adopt(self.target, smaller, transfers, self._reading, self.model, stacks)
        self._forget()

    def copy(self, values: dict[int, np.ndarray] | None = None) -> keras.Model:
        """Returns a plain copy of what is cut, as it is now, with its own values, or others by the variable's `id`."""
        graph = analyse(self._read().twin)
        return rebuild(graph, np.ones(graph.num_units, bool), values=values)[0]

    def snapshot(self) -> Snapshot:
        """Returns what brings the model back as it is now."""
        return Snapshot(self.model, self.target)

    def _graph(self, batch):
        ignored = (*self._ignore, *(self._stuck or ()), *self._outside())
        return analyse(self.twin, ignored, self._owner, batch=batch)

    def _not_following(self, graph):
        """Returns the names of layers that cannot become smaller, since the code of the model does not follow."""
        if is_graph(self.target) or self._why_not(graph, graph.groups) is None:
            return []
        why = {group: self._why_not(graph, [group]) for group in graph.groups}
        stuck = [group for group, reason in why.items() if reason]
        if len(stuck) == len(why) or self._why_not(graph, [group for group in why if group not in stuck]):
            return []  # that is refused before training
        names = list(dict.fromkeys(name.partition(":")[0] for group in stuck for name in group.layers))
        warnings.warn(
            f"`{self._owner}` leaves layers of model '{self.target.name}' whole: {', '.join(map(repr, names))}. "
            f"{why[stuck[0]]}",
            SlimWarning,
            stacklevel=2,
        )
        return names

    def _why_not(self, graph, groups):
        """Returns the error if the code does not follow when groups lose half of their units; `None` if it does."""
        keep = np.ones(graph.num_units, bool)
        for group in groups:
            keep[group.units[(group.size + 1) // 2 :]] = False
        try:
            check_follows(self.target, *rebuild(graph, keep), self._reading, self.model)
        except UnsupportedLayerError as error:
            return error
        return None

    def _forget(self):
        """Lets go of the layers from before a cut: readings hold them, and what noted that it was called in one."""
        self._last = None
        for calls, before, after in reversed(self._noted):
            if len(calls) == after:  # else somebody else has called it since
                del calls[before:]
        self._noted = []

    def _read(self):
        """Returns a reading; what it notes in the models inside, which stay, is forgotten after a cut."""
        noted = [(calls, len(calls)) for calls in calls_of(layers_within(self.model))]
        reading = self._read_or_part()
        self._noted += [(calls, before, len(calls)) for calls, before in noted if len(calls) > before]
        return reading

    def _read_or_part(self):
        """Reads the whole; or the part alone, if the whole cannot be read or does not call it."""
        self._target = self.model
        if self._part is None:
            return self._read_whole(self.model)
        try:
            reading = self._read_whole(self.model)
        except UnsupportedLayerError:
            reading = None
        if reading is not None and self._inside(reading) & {id(each) for each in all_layers(reading.twin)}:
            return reading
        if not isinstance(self._part, keras.Model):
            expected = "a model, or a layer that the whole model calls in a way that can be read"
            raise ValueError(invalid_argument("part", self._owner, expected=expected, received=self._part))
        self._target = self._part
        return self._read_whole(self._part)

    def _read_whole(self, model):
        """Reads a model; layers in a functional one are opened if one of them is to be."""
        if is_graph(model) and not any(is_closed(layer) and self._opens(layer) for layer in layers_within(model)):
            return Reading(model, {})
        return read_to_prune(model, self._owner)

    def _inside(self, reading):
        """Returns the ids of the layers of the part, and of those in what stands for them."""
        layers = layers_within(self._part)
        stands = [reading.stand_ins[id(each)] for each in layers if id(each) in reading.stand_ins]
        return {id(each) for outer in (*layers, *stands) for each in layers_within(outer) if each.weights}

    def _outside(self):
        """Returns the paths of the layers that are none of the part's."""
        if self._part is None or self._target is self._part:
            return []
        inside = self._inside(self._reading)
        return [path for path, layer in layers_by_path(self.twin) if layer.weights and id(layer) not in inside]


def _part_of(model, name, owner):
    """Returns what an attribute of a model holds, or the layer of that name."""
    found = getattr(model, name, None) if isinstance(name, str) else None
    found = next((each for each in model.layers if each.name == name), found)
    if not isinstance(found, keras.layers.Layer):
        held = [key for key, value in vars(model).items() if isinstance(value, keras.Model) and not key.startswith("_")]
        names = list(dict.fromkeys((*held, *(each.name for each in model.layers if isinstance(each, keras.Model)))))
        expected = f"the name of an attribute or a layer that is a model: {', '.join(names) or 'there is none'}"
        raise ValueError(invalid_argument("part", owner, expected=expected, received=name))
    return found
