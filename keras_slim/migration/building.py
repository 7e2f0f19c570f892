"""A model of Keras 3 from what the other process tells of one of `tf_keras`."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_slim.errors import UnsupportedLayerError
from keras_slim.migration import operations
from keras_slim.migration.layers import NETWORKS, NoCounterpartError, dtype_of, made_layer, weight_name
from keras_slim.migration.ranges import Rounded, range_behind

PRUNING, CLUSTERING, QUANTIZATION = "pruning", "clustering", "quantization"
ROUNDING_LAYER = "QuantizeLayer"
WRAPPERS = {
    "ClusterWeights": CLUSTERING,
    "ClusterWeightsMHA": CLUSTERING,
    "ClusterWeightsRNN": CLUSTERING,
    "PruneLowMagnitude": PRUNING,
    "QuantizeAnnotate": "annotation for quantization",
    "QuantizeWrapper": QUANTIZATION,
    "QuantizeWrapperV2": QUANTIZATION,
}


class Building:
    """Builds a model.

    Args:
        description: The model, as `to_json` of `tf_keras` has it.
        layers: What each layer holds, by path, as `old_process.py` tells it.
        arrays: The arrays whose numbers are in it.
        keeps_quantizers: Whether TFMOT's quantizers become ours; else the rounded weights are taken, and activations
            are not rounded.

    Raises:
        UnsupportedLayerError: If layers have no counterpart in Keras 3. The message names all.

    Attributes:
        model: The model, with its weights.
        wrapped: What TFMOT had put around which layers: names of kinds to lists of names.
        masks: Which weights were kept, arrays of booleans by the path of the weight.
        shared: Paths of the weights that share values.
    """

    def __init__(self, description: dict, layers: dict, arrays, keeps_quantizers: bool):
        self._held, self._arrays, self._keeps_quantizers = layers, arrays, keeps_quantizers
        self._problems: dict[str, str] = {}
        self._stacks: dict[str, list[Any]] = {}
        self._rounded: list[Rounded] = []
        self.wrapped: dict[str, list[str]] = {}
        self.masks: dict[str, np.ndarray] = {}
        self.shared: list[str] = []
        self._make_layers(description, "")
        self._check()
        self.model = self._network(description, "")
        self._give_weights()
        for rounded in self._rounded:
            rounded.learn()

    def _check(self):
        if self._problems:
            listed = "; ".join(f"'{path}' ({reason})" for path, reason in self._problems.items())
            raise UnsupportedLayerError(
                f"The model cannot be migrated as it is. Expected layers that Keras 3 has too. Received: {listed}. "
                "Build these parts anew for Keras 3, and give them their weights by `set_weights`."
            )

    def _make_layers(self, network, path):
        """Makes the layers of a network and of those inside it, so that all problems are known at once."""
        for entry in network["config"]["layers"]:
            here = f"{path}/{entry['config']['name']}"
            if entry["class_name"] in NETWORKS:
                self._make_layers(entry, here)
            elif entry["class_name"] != "InputLayer":
                try:
                    self._stacks[here] = self._stack(entry, here)
                except NoCounterpartError as reason:
                    self._problems[here[1:]] = f"{unwrapped(entry)['class_name']}: {reason}"

    def _stack(self, entry, path):
        """Returns the layers in the place of one, one behind the other."""
        kind, places = entry["class_name"], self._held.get(path, {}).get("places", [])
        if kind in operations.KINDS:
            operations.check_operation(entry)
            return []
        if kind in WRAPPERS:
            inner = unwrapped(entry)
            self.wrapped.setdefault(WRAPPERS[kind], []).append(inner["config"]["name"])
        elif kind == ROUNDING_LAYER:
            self.wrapped.setdefault(QUANTIZATION, []).append(entry["config"]["name"])
            return self._with_ranges(range_behind(entry["config"]["name"], places, self._arrays))
        layer = made_layer(named(unwrapped(entry)))
        if places and self._keeps_quantizers:
            return self._with_ranges(Rounded(layer, places, self._arrays))
        return [layer]

    def _with_ranges(self, rounded):
        if not self._keeps_quantizers:
            return []
        self._rounded.append(rounded)
        return rounded.stack

    def _network(self, entry, path):
        config = entry["config"]
        if entry["class_name"] == "Sequential":
            return self._sequential(config, path)
        return self._functional(config, path)

    def _sequential(self, config, path):
        model = keras.Sequential(name=simple(config["name"]))
        for entry in config["layers"]:
            here = f"{path}/{entry['config']['name']}"
            if entry["class_name"] == "InputLayer":
                model.add(keras.Input(**input_arguments(entry)))
            else:
                for layer in [self._network(entry, here)] if entry["class_name"] in NETWORKS else self._stacks[here]:
                    model.add(layer)
        if not model.built:
            model.build(tuple(config["build_input_shape"]))
        model.trainable = config.get("trainable", True)
        return model

    def _functional(self, config, path):
        tensors: dict[tuple, list] = {}  # by the name of a layer and the number of the call
        networks = {}
        waiting = []
        for entry in config["layers"]:
            name = entry.get("name", entry["config"]["name"])
            if entry["class_name"] == "InputLayer":
                tensors[name, 0] = [keras.Input(**input_arguments(entry))]
                continue
            # A network's own tensors are the first call of it.
            first = 1 if entry["class_name"] in NETWORKS else 0
            if first:
                networks[name] = self._network(entry, f"{path}/{entry['config']['name']}")
            waiting += [(entry, name, first + number, node) for number, node in enumerate(entry["inbound_nodes"])]
        while waiting:
            ready = [each for each in waiting if all(ref[:2] in tensors for ref in references(each[-1]))]
            if not ready:
                names = ", ".join(repr(each[1]) for each in waiting)
                raise UnsupportedLayerError(f"The calls of these layers cannot be put in an order: {names}.")
            for entry, name, number, node in ready:
                outputs = self._called(entry, networks.get(name), path, *arguments(node, tensors))
                tensors[name, number] = keras.tree.flatten(outputs)
            waiting = [each for each in waiting if each not in ready]
        inputs, outputs = (structure(config[each], tensors) for each in ("input_layers", "output_layers"))
        model = keras.Model(inputs, outputs, name=simple(config["name"]))
        model.trainable = config.get("trainable", True)
        return model

    def _called(self, entry, network, path, args, kwargs):
        here = f"{path}/{entry['config']['name']}"
        try:
            if entry["class_name"] in operations.KINDS:
                return operations.called(entry, args, kwargs)
            stack = [network] if network is not None else self._stacks[here]
            outputs = stack[0](*args, **kwargs) if stack else args[0]
        except Exception as error:  # whatever Keras has to say of the call
            self._problems[here[1:]] = f"{entry['class_name']}: {error}"
            self._check()
        for layer in stack[1:]:
            outputs = layer(outputs)
        return outputs

    def _give_weights(self):
        for path, stack in self._stacks.items():
            weights = self._held[path]["weights"] if stack else []
            if weights:
                try:
                    self._give(stack[0], weights)
                except NoCounterpartError as reason:
                    self._problems[path[1:]] = str(reason)
        self._check()

    def _give(self, layer, weights):
        for variable, weight in paired(layer, weights):
            which = "rounded" if "rounded" in weight and not self._keeps_quantizers else "value"
            value = self._arrays[weight[which]]
            if tuple(variable.shape) != value.shape:
                raise NoCounterpartError(f"`{weight['name']}` has the shape {value.shape}, in Keras 3 {variable.shape}")
            variable.assign(value)
            if "mask" in weight:
                self.masks[variable.path] = self._arrays[weight["mask"]]
            if weight.get("shared"):
                self.shared.append(variable.path)
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def unwrapped(entry: dict) -> dict:
    """Returns what is inside TFMOT's wrappers."""
    while entry["class_name"] in WRAPPERS:
        entry = entry["config"]["layer"]
    return entry


def named(entry: dict) -> dict:
    """Returns an entry with a name that Keras 3 allows."""
    return {**entry, "config": {**entry["config"], "name": simple(entry["config"]["name"])}}


def simple(name: str) -> str:
    """Returns a name without slashes, which Keras 3 has between the names of a path."""
    return name.replace("/", "_")


def input_arguments(entry: dict) -> dict:
    """Returns the arguments of `keras.Input` for an `InputLayer`."""
    config = entry["config"]
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    return {"batch_shape": tuple(shape), "dtype": dtype_of(config), "name": simple(config["name"])}


def paired(layer: keras.layers.Layer, weights: list[dict]) -> Iterator[tuple[keras.Variable, dict]]:
    """Yields the variables of a layer, each with the weight that is for it: by name, or where names repeat, in order.

    Raises:
        NoCounterpartError: If they are not as many.
    """
    own = {variable.name: variable for variable in layer.weights}
    names = [weight_name(layer, weight["name"]) for weight in weights]
    if len(set(names)) == len(names) and set(names) <= set(own):
        missing = set(own) - set(names)
        if not missing or hasattr(layer, "places"):
            yield from ((own[name], weight) for name, weight in zip(names, weights, strict=True))
            return
    if len(layer.weights) != len(weights):
        raise NoCounterpartError(f"it has the weights {names}, in Keras 3 {list(own)}")
    yield from zip(layer.weights, weights, strict=True)


def is_reference(part) -> bool:
    """Tells whether a part of a config is the name of a layer, and the numbers of a call and an output of it."""
    return (
        isinstance(part, list)
        and len(part) in (3, 4)
        and isinstance(part[0], str)
        and all(isinstance(each, int) for each in part[1:3])
    )


def references(part) -> list[tuple]:
    """Returns all that a part of a config reads."""
    if is_reference(part):
        return [tuple(part[:3]), *references(part[3:])]
    inside = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [each for one in inside for each in references(one)]


def structure(part, tensors: dict):
    """Returns a part of a config with tensors in place of references; a list of one is what is in it."""
    made = mapped(part, lambda reference: tensors[tuple(reference[:2])][reference[2]])
    return made[0] if isinstance(made, list) and len(made) == 1 else made


def arguments(node, tensors: dict) -> tuple[list, dict]:
    """Returns what a layer is called with: a list of arguments, and a dictionary."""
    kwargs = {}
    for reference in called_with(node):
        for given in reference[3:]:
            for name, value in given.items():
                kwargs[name] = structure(value, tensors) if references(value) else value
    return [structure(node, tensors)], kwargs


def called_with(part) -> list[list]:
    """Returns the references in the first argument of a call, each with what else is given beside it."""
    if is_reference(part):
        return [part]
    inside = part.values() if isinstance(part, dict) else part
    return [each for one in inside for each in called_with(one)]


def mapped(part, function: Callable):
    """Returns a part of a config with the values of a function of references in their place."""
    if is_reference(part):
        return function(part)
    if isinstance(part, dict):
        return {key: mapped(value, function) for key, value in part.items()}
    return [mapped(each, function) for each in part] if isinstance(part, list) else part
