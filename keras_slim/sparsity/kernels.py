"""Which weights of a model are pruned one by one."""

import keras

from keras_slim.errors import UnsupportedLayerError, did_you_mean, invalid_argument
from keras_slim.validation import check_share

CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv1D,
    keras.layers.SeparableConv2D,
)


def kernels(model: keras.Model, trained_only: bool = True) -> dict[str, keras.Variable]:
    """Returns the kernels of a model by path, in the order of its weights.

    A kernel is a weight whose name ends so: of dense layers, convolutions of every kind, recurrent layers (which have
    two), attention. Biases, normalisation and embeddings are none.

    Those of adder layers are among them. A zero there is no missing connection: it adds `|x|` to a distance. It changes
    the distance by no more than the weight was, and compresses like any zero, but it saves no operation.

    Args:
        model: A built model of any kind.
        trained_only: Whether to leave out those of layers that are not trained.

    Raises:
        ValueError: If the model is not built.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")], name="net")
    >>> list(kernels(model))
    ['net/head/kernel']
    """
    return weights_ending_in("kernel", model, trained_only)


def weights_ending_in(endings, model, trained_only=True) -> dict[str, keras.Variable]:
    """Returns the weights of a model by path whose names end so, a string or a tuple of them.

    Raises:
        ValueError: If the model, or a layer of it that is never called as a whole, is not built.
    """
    if not model.built:
        _check_parts(model)
    weights = model.trainable_weights if trained_only else model.weights
    return by_path(weight for weight in weights if weight.name.endswith(endings))


def _check_parts(model):
    """Raises `ValueError` if parts of a model that was not called itself have no weights yet."""
    parts = [layer for layer in leaves(model) if not isinstance(layer, keras.Model)]
    missing = [layer.name for layer in parts if not layer.built]
    if missing or not model.weights:
        raise ValueError(
            f"Model '{model.name}' has no weights yet{f' in layers {missing}' if model.weights else ''}. Expected a "
            "built model. Received one whose input shape is not known. Begin it, or the part that holds the layer, "
            "with `keras.Input(shape)`, or call it once on a batch."
        )


def by_path(weights) -> dict[str, keras.Variable]:
    """Returns weights by path, with a number behind it where two layers of one name are built apart."""
    found: dict[str, keras.Variable] = {}
    for weight in weights:
        found[_unused(weight.path, found)] = weight
    return found


def advice_on_names(expected: dict, found: dict) -> str:
    """Returns what to do so that weights are found again, given their shapes by path, in order, then and now."""
    if list(expected.values()) == list(found.values()):
        return (
            "The shapes are the same, only the names are not: Keras numbers models and layers without a name anew each "
            "time. Name them all, such as `Dense(8, name='hidden')`, before the ticket or the masks are made."
        )
    return "Build the model in the same way, with the same names."


def shares_by_kernel(model, sparsity, ignore, skip_first_convolution, owner, argument="sparsity") -> dict[str, float]:
    """Returns the share of zeros that each kernel shall have, by path; those left dense are not among them.

    Args:
        model: A built model.
        sparsity: A share for all, or a dictionary of layer names or paths to shares, which leaves out all others.
        ignore: Names of layers, or paths, to leave dense.
        skip_first_convolution: Whether the first convolution is left dense, unless it is named.
        owner: Name of the callback or function, for error messages.
        argument: What it calls the share.

    Raises:
        ValueError: If a name is not found, or a share is out of range.
        UnsupportedLayerError: If no kernel is left.
    """
    found = kernels(model)
    if isinstance(sparsity, dict):
        shares = {name: check_share(share, argument, owner, zero=True) for name, share in sparsity.items()}
    else:
        share = check_share(sparsity, argument, owner, zero=True)
        skipped = {id(weight) for weight in _first_convolution(model)} if skip_first_convolution else set()
        shares = {path: share for path, weight in found.items() if id(weight) not in skipped}
    chosen = settings_by_path(shares, found, ignore, argument, owner)
    if not chosen:
        raise UnsupportedLayerError(
            f"`{owner}` finds nothing to prune in model '{model.name}'. Expected a trainable weight whose name ends in "
            f"'kernel' and which is not left dense. Received kernels: {list(found)}, of which the first convolution"
            f"{'' if skip_first_convolution else ' is not skipped'} and ignore={list(ignore)!r} are left dense."
        )
    return chosen


def settings_by_path(settings, found, ignore, argument, owner) -> dict:
    """Returns the setting of each weight by path, in the order of the model; those left out are not among them.

    Args:
        settings: Dictionary of names of layers, or paths, to settings.
        found: The weights of the model by path.
        ignore: Names of layers, or paths, to leave out.
        argument: Name of the argument that the settings came through, for error messages.
        owner: Name of the callback or function.

    Raises:
        ValueError: If a name is not found.
    """
    left_out = {path for name in ignore for path in _named(name, found, "ignore", owner)}
    chosen = {path: each for name, each in settings.items() for path in _named(name, found, argument, owner)}
    return {path: chosen[path] for path in found if path in chosen and path not in left_out}


def _unused(path, taken):
    """Returns the path, or the path with a number where two layers of one name are built apart."""
    number, name = 1, path
    while name in taken:
        number, name = number + 1, f"{path}~{number + 1}"
    return name


def _named(name, found, argument, owner):
    """Returns the paths of the kernels that a name stands for."""
    paths = [path for path in found if path == name or name in path.split("/")[:-1]]
    if not paths:
        names = list(dict.fromkeys(part for path in found for part in path.split("/")[:-1]))
        expected = f"names of layers with kernels, {names}"
        raise ValueError(
            invalid_argument(argument, owner, expected=expected, received=name, hint=did_you_mean(name, names))
        )
    return paths


def _first_convolution(model):
    """Returns the weights of the first convolution of a model, an empty list if it has none."""
    return next((layer.weights for layer in leaves(model) if isinstance(layer, CONVOLUTIONS)), [])


def leaves(layer, seen=None):
    """Yields the layers inside a model, a wrapper or a layer of the user's own, in order.

    Inside a model that is called layer by layer, and inside a layer of the user's own, the order is that of its
    attributes.
    """
    seen = {id(layer)} if seen is None else seen
    for each in _inside(layer):
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            yield from leaves(each, seen)


def _inside(layer):
    """Returns the layers that a model or a layer holds itself."""
    if isinstance(layer, keras.Model):
        return layer.layers
    values = [value if isinstance(value, list | tuple) else [value] for value in vars(layer).values()]
    return [each for several in values for each in several if isinstance(each, keras.Layer)]
