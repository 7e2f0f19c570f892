"""Models as plain graphs of layers whose calls can be read, whatever they were written as."""

import contextlib

import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError, first_sentence, in_short, invalid_argument
from keras_slim.graph.closed import is_closed, stays_closed, why_closed
from keras_slim.graph.kept_reading import Reading, keep_reading, kept_reading
from keras_slim.graph.nodes import check_graph, is_graph, walk
from keras_slim.graph.recording import SAMPLES, CannotRecordError, record, tensors_in
from keras_slim.graph.registry import find_rule
from keras_slim.graph.running import copy_of
from keras_slim.held import layers_within
from keras_slim.kernels.backends import without_gradients
from keras_slim.layers.weight import Weight


def functional(model: keras.Model, inputs=None, *, owner: str = "functional") -> keras.Model:
    """Returns the functional twin of a model: the same layers, in a graph to read.

    Their weights are the very same. A subclassed model is called on symbolic inputs, and so is each layer that holds
    layers or computes with weights of its own; each becomes a functional model inside the twin, under its own name. For
    that its code may use layers and `keras.ops`, loops over lists of layers, several inputs and `training=`, but not
    decide by the values of tensors. Layers that do stay as they are, and so do those with a rule. The twin is compared
    with the model on one batch.

    Args:
        model: A model. It is not changed. Training either changes the weights of both.
        inputs: What a subclassed model is called on: arrays, or a structure of them, as `model(inputs)` takes it, or
            `keras.Input`s. Defaults to the shapes it was built for.
        owner: Name of the function that was given the model, for error messages.

    Returns:
        The twin, not compiled; the model itself if there is nothing to open. Each call makes another one.

    Raises:
        UnsupportedLayerError: If the code of a subclassed model cannot be recorded, which names the line; if it has not
            been built and there are no inputs; if it does not run on them.
        TypeError: If the inputs are no arrays.
        ValueError: If a `Sequential` has not been built, or the inputs are not as many, or have not as many axes, as
            those of a functional model.

    Example:

    >>> class Block(keras.layers.Layer):
    ...     def __init__(self):
    ...         super().__init__(name="block")
    ...         self.dense = keras.layers.Dense(4, name="dense")
    ...     def call(self, x):
    ...         return x + self.dense(x)
    >>> model = keras.Sequential([keras.Input((4,)), Block()])
    >>> [layer.name for layer in functional(model).get_layer("block").layers if layer.weights]
    ['dense']
    """
    return read(model, inputs, owner).twin


def read(model: keras.Model, inputs=None, owner: str = "functional") -> Reading:
    """Returns what `functional` does, with what stands for what in it."""
    if not isinstance(model, keras.Model):
        raise TypeError(invalid_argument("model", owner, expected="a Keras model", received=model))
    if isinstance(model, keras.Sequential):
        check_graph(model, owner)  # says that it is not built
    if inputs is not None:
        _check_inputs(model, inputs, owner)
    opening = _Opening()
    try:
        with _flags_kept(model):
            if not is_graph(model):
                twin = opening.subclassed(model, _symbols(model, inputs))
            else:
                twin = opening.graph(model) if inputs is None else opening.of_shapes(model, inputs)
    except UnsupportedLayerError:
        raise
    except Exception as error:  # the code of the user's own layers may raise anything
        why = str(error) if isinstance(error, CannotRecordError) else in_short(error)
        raise UnsupportedLayerError(
            f"Model '{model.name}' of class `{type(model).__name__}` cannot be read: {why.rstrip('.')}. Expected "
            "layers and `keras.ops` alone, and no decisions by the values of tensors. Correct the line, or build the "
            "model with `keras.Model(inputs, outputs)`."
        ) from error
    if twin is not model:
        check_alike(model, twin, inputs)
    return Reading(twin, opening.stand_ins())


def readable(model: keras.Model, owner: str) -> keras.Model:
    """Returns what can be read in place of a model: itself, or its functional twin if it is subclassed.

    Raises:
        UnsupportedLayerError: If a subclassed model cannot be read.
    """
    return model if is_graph(model) else _read_once(model, owner).twin


def opened(model: keras.Model, owner: str) -> keras.Model:
    """Returns what can be pruned in place of a model: itself, or its functional twin, with its loss if it has one.

    A layer in a functional model that cannot be opened stays as it is.

    Args:
        model: As for `functional`.
        owner: As for `functional`.

    Raises:
        UnsupportedLayerError: If a subclassed model cannot be read.
    """
    return read_to_prune(model, owner).twin


def read_to_prune(model: keras.Model, owner: str) -> Reading:
    """Returns what `opened` does, with what stands for what in it."""
    try:
        reading = _read_once(model, owner)
    except UnsupportedLayerError:
        if not is_graph(model):
            raise
        return Reading(model, {})
    if reading.twin is not model and model.compiled:
        options = {"run_eagerly": model.run_eagerly, "jit_compile": model.jit_compile}
        reading.twin.compile(loss=model.loss, **options)
        reading.twin.compute_loss = model.compute_loss
    return reading


def _read_once(model, owner):
    """Returns how a model is read: as the last time, if that twin still answers as the model."""
    reading = kept_reading(model) if isinstance(model, keras.Model) else None
    if reading is not None and not _differs(model, reading.twin):
        return reading
    reading = read(model, owner=owner)
    if reading.twin is not model:
        keep_reading(model, reading)
    return reading


def _differs(model, twin):
    try:
        check_alike(model, twin)
    except UnsupportedLayerError:
        return True
    return False


@contextlib.contextmanager
def _flags_kept(model):
    """Leaves trainable what is trainable: models around the same layers set it for all of them at once."""
    flags = [(each, each.trainable) for each in layers_within(model)]
    variables = [(each, each.trainable) for each in model.variables]
    try:
        yield
    finally:
        for each, flag in (*flags, *variables):
            if each.trainable != flag:
                each.trainable = flag


def _input_like(layer):
    return keras.layers.InputLayer.from_config(layer.get_config())


def _differ(shape, built):
    return any(None not in pair and pair[0] != pair[1] for pair in zip(shape[1:], built[1:], strict=True))


def _input_of_shape(layer, shape):
    return keras.layers.InputLayer.from_config({**layer.get_config(), "batch_shape": shape})


def _shaped_like(layer, value):
    shape = [
        one if one is not None or axis == 0 else two
        for axis, (one, two) in enumerate(zip(layer.batch_shape, value.shape, strict=True))
    ]
    return _input_of_shape(layer, shape)


def _input_layers(model):
    """Returns the input layers of a model, in the order of its inputs."""
    layers = {
        id(node.outputs[0]): node.operation
        for node in walk(model)
        if isinstance(node.operation, keras.layers.InputLayer)
    }
    return [layers[id(tensor)] for tensor in model.inputs]


class _Opening:
    """Opens what a model is made of, each layer once for each way in which it is called."""

    def __init__(self):
        self._graphs = {}
        self._opened = {}
        self._weights = {}

    def graph(self, model):
        """Returns the twin of a model whose calls can be read; the model itself if nothing in it is to be opened."""
        if model not in self._graphs:
            self._graphs[model] = self._twin(model) if self._has_closed(model) else model
        return self._graphs[model]

    def _graph_for(self, model, args, kwargs):
        """Returns the twin of a model inside; of other sizes, if it is called on others than it was built for.

        Keras computes with such sizes, but does not call a model on symbolic tensors of them.
        """
        tensors = tensors_in((args, kwargs))
        shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        built = [tuple(tensor.shape) for tensor in model.inputs]
        if len(shapes) != len(built) or not any(map(_differ, shapes, built)):
            return self.graph(model)
        if (model, shapes) not in self._graphs:
            given = dict(zip(map(id, _input_layers(model)), shapes, strict=True))
            self._graphs[model, shapes] = self._twin(model, lambda layer: _input_of_shape(layer, given[id(layer)]))
        return self._graphs[model, shapes]

    def stand_ins(self):
        """Returns what stands for a layer, or a model inside, by the `id` of that one."""
        graphs = {id(model): twin for model, twin in self._graphs.items() if not isinstance(model, tuple)}
        opened = {id(layer): made[0][1] for layer, made in self._opened.items()}
        return {number: each for number, each in (graphs | opened).items() if each is not None}

    def of_shapes(self, model, inputs):
        """Returns the twin of a model whose calls can be read, with inputs of the shapes of a batch."""
        given = dict(zip(map(id, _input_layers(model)), keras.tree.flatten(inputs), strict=True))
        return self._twin(model, lambda layer: _shaped_like(layer, given[id(layer)]))

    def subclassed(self, model, symbols):
        """Returns the twin of a subclassed model, with its structure of inputs and outputs."""
        args, kwargs = symbols
        recording = record(model, args, kwargs)
        outputs = self._replayed(recording, keras.tree.flatten(symbols))
        inputs = args[0] if len(args) == 1 and not kwargs else keras.tree.flatten(symbols)
        return _named_like(model, keras.Model(inputs, outputs, name=model.name))

    def _has_closed(self, model):
        for node in walk(model):
            operation = node.operation
            if is_closed(operation) or (_is_plain_graph(operation) and self.graph(operation) is not operation):
                return True
        return False

    def _twin(self, model, input_of=_input_like):
        first = {}
        for node in walk(model):
            first.setdefault(id(node.operation), node)

        def layers(layer):
            node = first[id(layer)]
            stands = self._standing_for(layer, node.args, node.kwargs)
            return [layer if stands is None else stands]

        def call(node, inputs, args, kwargs):
            return self._call(node.operation, args, kwargs, (args, kwargs))

        return copy_of(model, input_of, layers, call)

    def _call(self, operation, args, kwargs, shapes):
        """Calls an operation, or what stands for it; `shapes` are its arguments with all that is known of them."""
        stands = self._standing_for(operation, *shapes)
        if stands is None:
            try:
                return operation(*args, **kwargs)
            except Exception as error:
                raise CannotRecordError(why_closed(operation) or first_sentence(error)) from error
        if _is_plain_graph(operation):
            return stands(*args, **kwargs)
        tensors = tensors_in((args, kwargs))
        return stands(tensors if len(tensors) > 1 else tensors[0])

    def _standing_for(self, operation, args, kwargs):
        """Returns the model that stands for a layer, or `None` if it stays."""
        if _is_plain_graph(operation):
            return self._graph_for(operation, args, kwargs)
        if not is_closed(operation):
            return None
        made = self._opened.setdefault(operation, [])
        given = keras.tree.map_structure(_specification, (args, kwargs))
        for known, model in made:
            if known == given:
                return model
        try:
            model = self._inside(operation, args, kwargs, f"_call_{len(made)}" if made else "")
        except CannotRecordError as error:
            stays_closed(operation, str(error))
            model = None
        made.append((given, model))
        return model

    def _inside(self, layer, args, kwargs, suffix):
        """Returns a model of what a layer computes, on the tensors among its arguments."""
        recording = record(layer, args, kwargs)
        given = tensors_in((args, kwargs))
        inputs = [keras.Input(batch_shape=each.shape, dtype=each.dtype) for each in given]
        if not inputs:
            raise CannotRecordError("it is called on no tensor")
        try:
            outputs = tensors_in(self._replayed(recording, inputs))
            outputs = outputs if len(outputs) > 1 else outputs[0]
            model = keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=layer.name + suffix)
        except ValueError as error:
            raise CannotRecordError(first_sentence(error)) from error
        return _named_like(layer, model)

    def _replayed(self, recording, inputs):
        """Makes the calls of a recording on other symbolic tensors, and returns what comes out."""
        values = {id(tensor): value for tensor, value in zip(recording.inputs, inputs, strict=True)}
        for tensor, variable in recording.weights:
            values[id(tensor)] = self._weight(variable, tensor.dtype)(inputs[0])
        for node in recording.nodes:
            args, kwargs = keras.tree.map_structure(lambda leaf: values.get(id(leaf), leaf), (node.args, node.kwargs))
            shapes = keras.tree.map_structure(_of_known_shape, (args, kwargs), (node.args, node.kwargs))
            outputs = keras.tree.flatten(self._call(node.operation, args, kwargs, shapes))
            values.update({id(tensor): value for tensor, value in zip(node.outputs, outputs, strict=True)})
        return keras.tree.map_structure(lambda tensor: values.get(id(tensor), tensor), recording.outputs)

    def _weight(self, variable, dtype):
        if id(variable) not in self._weights:
            is_cast = dtype != keras.backend.standardize_dtype(variable.dtype)
            policy = keras.dtype_policies.get(f"mixed_{dtype}" if is_cast else dtype)
            self._weights[id(variable)] = Weight.of(variable, dtype=policy, name=f"weight_{len(self._weights)}")
        return self._weights[id(variable)]


def _is_plain_graph(operation):
    return is_graph(operation) and find_rule(operation) is None


def _of_known_shape(leaf, noted):
    """Returns a symbolic tensor with the sizes that were seen when a call was noted; Keras leaves some of them open."""
    if not isinstance(leaf, keras.KerasTensor) or None not in leaf.shape[1:]:
        return leaf
    seen = [size if size and size % SAMPLES[0] else None for size in noted.shape[1:]]
    sizes = [two if one is None else one for one, two in zip(leaf.shape[1:], seen, strict=True)]
    return keras.KerasTensor((leaf.shape[0], *sizes), leaf.dtype)


def _specification(leaf):
    return (tuple(leaf.shape), leaf.dtype) if isinstance(leaf, keras.KerasTensor) else repr(leaf)


def _named_like(layer, model):
    if not layer.trainable:
        model.trainable = False
    return model


def _check_inputs(model, inputs, owner):
    """Raises what is wrong with the inputs that a model is to be called on."""
    hint = "Give a batch as the model is called on it: `next(iter(data))`, without the targets."
    leaves = keras.tree.flatten(inputs)
    for leaf in leaves:
        if not _is_dense(leaf):
            expected = "dense arrays or `keras.Input`s, in the structure that the model is called on"
            raise TypeError(
                invalid_argument("inputs", owner, expected=expected, received=type(leaf).__name__, hint=hint)
            )
    ranks = [len(tensor.shape) for tensor in model.inputs] if is_graph(model) else None
    received = [tuple(leaf.shape) for leaf in leaves]
    if ranks is not None and ranks != [len(shape) for shape in received]:
        expected = f"arrays of shape {[tuple(tensor.shape) for tensor in model.inputs]}"
        raise ValueError(invalid_argument("inputs", owner, expected=expected, received=received, hint=hint))


def _is_dense(leaf):
    if isinstance(leaf, keras.KerasTensor):
        return True
    has_parts = all(hasattr(leaf, name) for name in ("shape", "dtype", "__getitem__"))
    return has_parts and None not in tuple(leaf.shape)


def _symbols(model, inputs):
    """Returns symbolic arguments to call a subclassed model on: positional ones and those by name."""
    if inputs is not None:
        return (_named(inputs, _symbol),), {}
    shapes = (model.get_build_config() if model.built else None) or {}
    if not shapes.get("input_shape", shapes.get("shapes_dict")):
        raise UnsupportedLayerError(
            f"Model '{model.name}' of class `{type(model).__name__}` decides in its own code which layers it calls, "
            "and is not built, so it cannot be asked. Expected a model that was built by a call on a batch. Call it on "
            "one. If it stays so, Keras cannot follow its code: `keras_slim.functional(model, inputs=batch)` reads it, "
            "or names the line. Or build it with `keras.Model(inputs, outputs)`."
        )
    if "input_shape" in shapes:
        return (_named(shapes["input_shape"], _of_shape),), {}
    given = {name.removesuffix("_shape"): shape for name, shape in shapes["shapes_dict"].items()}
    return (), _named(given, _of_shape)


def _named(structure, make, name=None):
    """Returns a structure of symbolic tensors; those in a dictionary are called as their keys."""
    if isinstance(structure, dict):
        return {key: _named(value, make, key) for key, value in structure.items()}
    if isinstance(structure, list | tuple) and structure and not isinstance(structure[0], int | None):
        return type(structure)(_named(value, make) for value in structure)
    return make(structure, name)


def _symbol(leaf, name):
    if isinstance(leaf, keras.KerasTensor):
        is_named = name in (None, leaf.name)
        return leaf if is_named else keras.Input(batch_shape=leaf.shape, dtype=leaf.dtype, name=name)
    is_text = getattr(leaf.dtype, "kind", "") in ("U", "S")
    dtype = "string" if is_text else keras.backend.standardize_dtype(leaf.dtype)
    return keras.Input(tuple(leaf.shape)[1:], dtype=dtype, name=name)


def _of_shape(shape, name):
    return keras.Input(tuple(shape)[1:], name=name)


def check_alike(model: keras.Model, twin: keras.Model, inputs=None) -> None:
    """Raises `UnsupportedLayerError` if a twin answers otherwise than its model on some inputs."""
    batch, is_given = _batch_for(twin, inputs)
    try:
        expected = answers(model, batch)
    except Exception as error:
        if not is_given:  # what a batch must look like is known to the user alone
            return
        raise UnsupportedLayerError(
            f"Model '{model.name}' does not run on its `inputs`: {in_short(error)}. Expected a batch as the model "
            "is called on it. Correct the batch, or the line."
        ) from error
    try:
        received = answers(twin, batch)
    except Exception as error:
        raise UnsupportedLayerError(
            f"The functional twin of model '{model.name}' does not run: {in_short(error)}. Build it from its "
            "layers with `keras.Model(inputs, outputs)`."
        ) from error
    found = difference(expected, received)
    if found and difference(expected, answers(model, batch)):
        reasons = {each.name: why_closed(each) for each in layers_within(model) if why_closed(each)}
        why = "".join(f" Layer '{name}' cannot be opened: {reason}." for name, reason in reasons.items())
        raise UnsupportedLayerError(
            f"Model '{model.name}' answers the same batch otherwise each time it is called, so it cannot be compared "
            f"with a twin.{why} Expected layers whose answers at inference follow from what they are given. Take what "
            "counts or draws numbers out of their `call`."
        )
    if found:
        raise UnsupportedLayerError(
            f"The functional twin of model '{model.name}' answers otherwise: expected the same, received {found}. "
            "Build it from its layers with `keras.Model(inputs, outputs)`."
        )


def batch_for(twin: keras.Model):
    """Returns two samples of random inputs in the structure of a functional model's inputs."""
    return _batch_for(twin, None)[0]


def _batch_for(twin, inputs):
    """Returns some samples of inputs, or random ones, and whether they were given."""
    symbols = twin.input if not isinstance(twin, keras.Sequential) else twin.inputs[0]
    given = keras.tree.flatten(inputs) if inputs is not None else []
    if not given or any(isinstance(leaf, keras.KerasTensor) for leaf in given):
        random = np.random.default_rng(0)
        return keras.tree.map_structure(lambda tensor: _sample(tensor, random), symbols), False
    sizes = [tensor.shape[0] or 2 for tensor in keras.tree.flatten(symbols)]
    some = [leaf[:size] for leaf, size in zip(given, sizes, strict=True)]
    return keras.tree.pack_sequence_as(symbols, some), True


@without_gradients()
def answers(model: keras.Model, batch):
    """Returns what a model answers at inference, its statistics and seeds as they were afterwards."""
    with keras.StatelessScope():
        return model(batch, training=False)


def difference(expected, received) -> str:
    """Returns by how much answers differ, in words; nothing if they are the same."""
    for one, other in zip(*map(keras.tree.flatten, (expected, received)), strict=True):
        one, other = (np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(each, "float32"))) for each in (one, other))
        scale = max(np.abs(one[np.isfinite(one)]).max(initial=0), 1e-6)
        if one.shape != other.shape:
            return f"shape {other.shape} in the place of {one.shape}"
        if not np.allclose(one, other, rtol=1e-2, atol=1e-3 * scale, equal_nan=True):
            return f"a difference of {np.abs(one - other).max():.3g} at answers up to {scale:.3g}"
    return ""


def _sample(tensor, random):
    shape = [2 if size is None and axis == 0 else 8 if size is None else size for axis, size in enumerate(tensor.shape)]
    if "float" in tensor.dtype:
        return random.normal(size=shape).astype("float32")
    return random.integers(0, 2, shape).astype(tensor.dtype if tensor.dtype != "string" else str)
