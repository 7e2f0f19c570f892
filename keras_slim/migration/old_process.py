"""The side of TFMOT: reads a model with `tf_keras` and TFMOT, in a process of its own.

TFMOT makes `tf_keras` the Keras of the whole process, so this file is never imported. Its text is run by an interpreter
that has TFMOT, and perhaps nothing of ours: it may be an older Python, and imports nothing of keras_slim. It reads a
request, a JSON file, and writes beside it what the model is (`answer.json`) and its numbers (`arrays.npz`).
"""

import json
import os
import sys
import traceback

import numpy as np

BATCH_SIZE = 32
UNKNOWN_SIZE = 16
DEFAULT_VOCABULARY = 2
# Of these, what is rounded is the weight as it is trained; others change it first, so that only the result is taken.
OF_PLAIN_WEIGHTS = (
    "LastValueQuantizer",
    "Default8BitConvWeightsQuantizer",
    "Default8BitConvTransposeWeightsQuantizer",
    "DefaultNBitWeightsQuantizer",
    "DefaultNBitConvWeightsQuantizer",
    "DefaultNBitConvTransposeWeightsQuantizer",
)


class Arrays:
    """Arrays by number."""

    def __init__(self):
        self.arrays = []

    def add(self, value):
        """Returns the number of one more array."""
        self.arrays.append(np.asarray(value))
        return len(self.arrays) - 1

    def save(self, path):
        np.savez(path, **{str(number): array for number, array in enumerate(self.arrays)})


def main(request_path):
    """Writes the answer to a request; what goes wrong is an answer too."""
    folder = os.path.dirname(request_path)
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    try:
        answer = answered(request, folder)
    except Exception as error:
        answer = {"error": str(error) or type(error).__name__, "traceback": traceback.format_exc()}
    with open(os.path.join(folder, "answer.json"), "w", encoding="utf-8") as file:
        json.dump(answer, file)


def answered(request, folder):
    """Returns what a model is, or what is missing; writes its arrays."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    try:
        import tensorflow as tf
        import tensorflow_model_optimization as tfmot
        from tensorflow_model_optimization.python.core.keras import compat
    except ImportError as error:
        return {"missing": str(error)}
    keras = getattr(compat, "keras", tf.keras)
    tf.config.set_visible_devices([], "GPU")
    model = loaded(request["model"], keras, tfmot)
    description = json.loads(model.to_json())
    arrays = Arrays()
    layers = {}
    describe_layers(model, "", layers, arrays, keras)
    if "samples" in request:
        with np.load(request["samples"], allow_pickle=False) as file:
            samples = [file[f"x_{index}"] for index in range(len(file.files))]
    else:
        samples = drawn(model, description, layers, arrays, request["count"])
    answers = answers_of(stripped(model, keras, tfmot), samples, tf)
    answer = {
        "model": description,
        "layers": layers,
        "samples": [arrays.add(each) for each in samples],
        "answers": [arrays.add(each) for each in answers],
        "versions": {"tensorflow": tf.__version__, "tensorflow-model-optimization": tfmot.__version__},
    }
    arrays.save(os.path.join(folder, "arrays.npz"))
    return answer


def loaded(path, keras, tfmot):
    """Returns the model in a file or folder, with TFMOT's classes known."""
    scopes = (tfmot.sparsity.keras.prune_scope, tfmot.clustering.keras.cluster_scope)
    with scopes[0](), scopes[1](), tfmot.quantization.keras.quantize_scope():
        model = keras.models.load_model(path, compile=False)
    if not isinstance(model, keras.Model) or not hasattr(model, "layers"):
        raise TypeError("The file holds no Keras model. Expected one that `model.save` wrote.")
    if not (isinstance(model, keras.Sequential) or model._is_graph_network):
        raise TypeError(
            "The model is subclassed, so the file tells its weights, and not how they are connected. Expected a "
            "Sequential or Functional model. Write the class anew for Keras 3, and give it the weights by "
            "`new.set_weights(old.get_weights())`"
        )
    if not model.built:
        raise TypeError("The model is not built. Expected one with an input shape; call it once before it is saved")
    return model


def describe_layers(model, path, layers, arrays, keras):
    """Adds what each layer of a model holds, and those inside it, by path."""
    for layer in model.layers:
        here = path + "/" + layer.name
        if isinstance(layer, keras.Model):
            describe_layers(layer, here, layers, arrays, keras)
        else:
            layers[here] = describe_layer(layer, arrays)


def describe_layer(layer, arrays):
    """Returns what a layer holds: names and numbers of its weights, and what TFMOT does to them."""
    kind = type(layer).__name__
    if kind == "PruneLowMagnitude":
        return pruned(layer, arrays)
    if kind.startswith("ClusterWeights"):
        return clustered(layer, arrays)
    if kind.startswith("QuantizeWrapper"):
        return quantized(layer, arrays)
    if kind == "QuantizeLayer":
        return {"weights": [], "places": place("output", layer.quantizer, vars_of(layer, "quantizer_vars"), arrays)}
    inner = layer.layer if kind == "QuantizeAnnotate" else layer
    return {"weights": [weight(each.name, each.numpy(), arrays) for each in inner.weights]}


def weight(name, value, arrays, **more):
    """Returns a weight: the last part of its name, the number of its array, and what else is known of it."""
    return dict({"name": leaf(name), "value": arrays.add(value)}, **more)


def leaf(name):
    return name.split(":")[0].split("/")[-1]


def pruned(layer, arrays):
    """Returns a layer in TFMOT's pruning wrapper; it answers with the masks applied."""
    masks = {each.name: mask.numpy() != 0 for each, mask, _ in layer.pruning_vars}
    weights = []
    for each in layer.layer.weights:
        value, more = each.numpy(), {}
        if each.name in masks:
            value = value * masks[each.name] + 0.0  # no zero has a sign
            more["mask"] = arrays.add(masks[each.name])
        weights.append(weight(each.name, value, arrays, **more))
    return {"weights": weights}


def clustered(layer, arrays):
    """Returns a layer in TFMOT's clustering wrapper, each clustered weight with the centre that stands for it."""
    if layer.preserve_sparsity:
        find_zeros(layer)
    layer.update_clustered_weights_associations()
    # What is clustered has become a tensor, and is no weight of the layer any more: TFMOT strips in the same way.
    weights = [weight(each.name, each.numpy(), arrays) for each in layer.layer.weights]
    for position, name in layer.position_original_weights.items():
        value = np.asarray(layer.get_weight_from_layer(name))
        original = layer.original_clusterable_weights[name]
        weights.insert(position, weight(original.name, value + 0.0, arrays, shared=True))
    return {"weights": weights}


def find_zeros(layer):
    """Finds the zeros that a wrapper preserves, as they were saved.

    TFMOT finds them when it builds a layer, among random weights that the file then replaces: a model that it has
    loaded answers with others.
    """
    for name, centroids in layer.cluster_centroids.items():
        values = layer.clustering_algorithms[name].get_clustered_weight(
            layer.pulling_indices[name], layer.original_clusterable_weights[name]
        )
        layer.sparsity_masks[name] = np.asarray(np.asarray(values) != 0, "float32")
        layer.zero_idx[name] = np.argmin(np.abs(centroids.numpy()), axis=-1)


def quantized(layer, arrays):
    """Returns a layer in TFMOT's quantization wrapper: its weights, as they are trained and rounded, and its ranges."""
    rounded, trained, places = {}, {}, []
    for variable, quantizer, variables in layer._weight_vars:
        rounded[variable.name] = np.asarray(quantizer(variable, False, weights=variables))
        is_plain = type(quantizer).__name__ in OF_PLAIN_WEIGHTS
        trained[variable.name] = variable if is_plain else rounded[variable.name]
        places += place(leaf(variable.name), quantizer, variables, arrays)
    weights = []
    others = {each.name: each for each in layer.layer.weights}
    for name, value in dict(others, **trained).items():
        more = {"rounded": arrays.add(rounded[name])} if name in rounded else {}
        weights.append(weight(name, np.asarray(value), arrays, **more))
    for activation in layer._quantize_activations:
        for which in ("pre", "post"):
            if getattr(activation, f"_should_{which}_quantize")():
                variables = vars_of(activation, f"_{which}_activation_vars")
                places += place(which, activation.quantizer, variables, arrays)
    if layer._output_quantizers:
        places += place("output", layer._output_quantizers[0], vars_of(layer, "_output_quantizer_vars"), arrays)
    return {"weights": weights, "places": places}


def vars_of(owner, name):
    return getattr(owner, name, None)


def place(what, quantizer, variables, arrays):
    """Returns a list of what is rounded and how, empty if nothing is."""
    kind = type(quantizer).__name__
    if quantizer is None or kind == "NoQuantizer":
        return []
    found = {"what": what, "kind": kind, "bits": getattr(quantizer, "num_bits", None)}
    found["symmetric"] = bool(getattr(quantizer, "symmetric", False))
    found["narrow_range"] = bool(getattr(quantizer, "narrow_range", False))
    if variables and "min_var" in variables:
        found["low"], found["high"] = (arrays.add(variables[each].numpy()) for each in ("min_var", "max_var"))
    elif hasattr(quantizer, "init_min"):
        found["low"], found["high"] = arrays.add(quantizer.init_min), arrays.add(quantizer.init_max)
    return [found]


def stripped(model, keras, tfmot):
    """Returns a model as TFMOT strips it of the wrappers for pruning and clustering, with the weights that it showed.

    The wrappers themselves do not hand on masks of words, so that a model answers otherwise with them and without.
    """
    kinds = {type(layer).__name__ for layer in flat(model, keras)}
    if "PruneLowMagnitude" in kinds:
        for layer in flat(model, keras):
            for each, mask, _ in getattr(layer, "pruning_vars", ()):
                each.assign(each * mask)
        model = tfmot.sparsity.keras.strip_pruning(model)
    if any(kind.startswith("ClusterWeights") for kind in kinds):
        model = tfmot.clustering.keras.strip_clustering(model)
    return model


def flat(model, keras):
    """Yields the layers of a model and of those inside it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flat(layer, keras)
        else:
            yield layer


def drawn(model, description, layers, arrays, count):
    """Returns random samples, a list of arrays, one for each input of a model: whole numbers where words are looked up.

    What is rounded before anything else has numbers from the range that it was trained with.
    """
    random = np.random.default_rng(0)
    vocabularies = vocabularies_of(description)
    ends = [each for path in layers for each in layers[path].get("places", ()) if path.count("/") == 1]
    first = next((each for each in ends if each["what"] == "output" and each["kind"] == "AllValuesQuantizer"), {})
    low, high = (float(arrays.arrays[first[end]]) if end in first else None for end in ("low", "high"))
    samples = []
    for tensor, name in zip(model.inputs, model.input_names):  # noqa: B905  an older Python does not know `strict`
        shape = (count, *(size or UNKNOWN_SIZE for size in tensor.shape[1:]))
        if name in vocabularies or tensor.dtype.is_integer:
            sample = random.integers(0, vocabularies.get(name, DEFAULT_VOCABULARY), shape)
        elif low is not None and high is not None and low < high:
            sample = random.uniform(low, high, shape)
        else:
            sample = random.normal(size=shape)
        samples.append(sample.astype(tensor.dtype.as_numpy_dtype))
    return samples


def vocabularies_of(description):
    """Returns how many words the table has that reads an input, by the input's name."""
    entries = description["config"]["layers"]
    inputs = {each["config"]["name"] for each in entries if each["class_name"] == "InputLayer"}
    found = {}
    for index, entry in enumerate(entries):
        inner = entry["config"].get("layer", entry)
        if inner.get("class_name") == "Embedding":
            text = json.dumps(entry.get("inbound_nodes", entries[index - 1]["config"].get("name")))
            found.update({name: inner["config"]["input_dim"] for name in inputs if json.dumps(name) in text})
    return found


def answers_of(model, samples, tf):
    """Returns what a model answers, a list of arrays."""
    rows = []
    for start in range(0, len(samples[0]), BATCH_SIZE):
        batch = [tf.constant(each[start : start + BATCH_SIZE]) for each in samples]
        outputs = model(batch if len(batch) > 1 else batch[0], training=False)
        rows.append([np.asarray(each) for each in tf.nest.flatten(outputs)])
    return [np.concatenate(parts) for parts in zip(*rows)]  # noqa: B905


if __name__ == "__main__":
    main(sys.argv[1])
