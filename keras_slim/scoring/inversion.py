"""Pictures rebuilt from feature maps: what a layer, or some of its units, still know of an image."""

import keras
import numpy as np
from keras import ops

from keras_slim.errors import did_you_mean, invalid_argument
from keras_slim.graph.nodes import is_graph, walk
from keras_slim.graph.registry import find_rule
from keras_slim.graph.running import KeptState, observed_run
from keras_slim.scoring.data import flat_inputs
from keras_slim.scoring.gradients import step_of_descent
from keras_slim.validation import check_count

OWNER = "invert_feature_maps"


def invert_feature_maps(
    model: keras.Model,
    layer: str,
    images,
    keep=None,
    *,
    total_variation: float = 0.3,
    alpha_norm: float = 1e-4,
    steps: int = 300,
    seed: int = 0,
    verbose: int = 1,
) -> np.ndarray:
    """Rebuilds images from what a layer, or a part of its units, puts out.

    If pictures rebuilt without some units look like those rebuilt with all of them, these units were redundant. From
    faint noise around grey, gradient descent (Adam) looks for the image `x` whose kept maps `F(x)` are those of the
    image `x0`. It minimises, for each image::

        ||F(x) - F(x0)||^2 / ||F(x0)||^2 + total_variation * V(x) + alpha_norm * R(x)

    where `V` is the mean squared difference of neighbouring pixels (summed over the directions) and `R` the mean sixth
    power of pixels, both in standard deviations of `images` around their mean.

    Args:
        model: A built Functional or Sequential model with one floating-point input. It is not changed.
        layer: Name of one of its layers; `"inner/name"` for a layer of a model inside the model. Of a layer that is
            called several times the first call counts, of several outputs the first.
        images: Array of shape `(samples, ..., channels)`, as the model takes them. They are held in memory together.
        keep: Booleans that broadcast over the layer's output for one sample, `False` for what must not be looked at:
            shape `(units,)` for channels-last maps. Defaults to all.
        total_variation: Weight of `V`; more is smoother.
        alpha_norm: Weight of `R`; more keeps pixels closer to grey.
        steps: Number of steps of the descent. The rate falls from 0.1 standard deviations a step to nothing.
        seed: Seed of the noise.
        verbose: 0 says nothing, 1 shows a progress bar.

    Returns:
        The rebuilt images, a float32 array of the shape of `images`.

    Raises:
        ValueError: If the model has no such layer, or `images`, `keep` or a weight do not fit.
        UnsupportedLayerError: If the model is subclassed.

    Example:

    >>> import keras, keras_slim as slim, numpy as np
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="conv")])
    >>> images = np.random.rand(2, 8, 8, 1)
    >>> keep = [True, True, False, True]
    >>> slim.scoring.invert_feature_maps(model, "conv", images, keep, steps=5, verbose=0).shape
    (2, 8, 8, 1)

    Reference: Mahendran & Vedaldi 2015, arXiv 1412.0035, equations 1 to 4.
    """
    check_count(steps, "steps", OWNER)
    weights = {"total_variation": total_variation, "alpha_norm": alpha_norm}
    for name, weight in weights.items():
        if not weight >= 0:
            raise ValueError(invalid_argument(name, OWNER, expected="a number >= 0", received=weight))
    wanted = _output_of(model, layer)
    images = _checked_images(images, model)
    centre, deviation = images.mean(), images.std() or 1.0

    def maps_of(pixels):
        x = pixels * deviation + centre
        _, observed = observed_run(model, flat_inputs(model, x), {id(wanted)}, number=1)
        return ops.cast(observed[id(wanted)][0], "float32")

    with KeptState(model):
        sought = maps_of((images - centre) / deviation)
        kept = ops.cast(_checked_keep(keep, tuple(sought.shape[1:])), "float32")
        size = ops.maximum(_sum(kept * sought**2), keras.config.epsilon())

        def objective(pixels):
            distance = _sum(kept * (maps_of(pixels) - sought) ** 2) / size
            return ops.sum(
                distance + total_variation * _roughness(pixels) + alpha_norm * ops.mean(pixels**6, axis=_inner(pixels))
            )

        noise = np.random.default_rng(seed).normal(0, 0.1, images.shape)
        pixels = keras.Variable(noise, dtype="float32", name="pixels")
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, steps))
        step = step_of_descent(objective, pixels, optimizer)
        progress = keras.utils.Progbar(steps, verbose=verbose)
        for number in range(1, steps + 1):
            loss = step()
            progress.update(number, [("loss", float(loss) / len(images))] if verbose else None)
    return ops.convert_to_numpy(pixels) * np.float32(deviation) + np.float32(centre)


def _output_of(model, layer):
    """Returns the symbolic tensor that the first call of a layer puts out, or raises `ValueError`."""
    outputs = {}
    for path, node in _calls(model):
        outputs.setdefault(path, node.outputs[0])
    if layer not in outputs:
        hint = did_you_mean(layer, outputs) or f"Its layers: {', '.join(outputs)}."
        expected = f"the name of a layer of model '{model.name}'"
        raise ValueError(invalid_argument("layer", OWNER, expected=expected, received=layer, hint=hint))
    return outputs[layer]


def _calls(model, prefix=""):
    """Yields the path and the node of each call of a model and of the models inside it."""
    for node in walk(model):
        path = prefix + node.operation.name
        if is_graph(node.operation) and find_rule(node.operation) is None:
            yield from _calls(node.operation, f"{path}/")
        if not isinstance(node.operation, keras.layers.InputLayer):
            yield path, node


def _checked_images(images, model):
    """Returns the images as a float32 array, or raises `ValueError` if the model does not take them."""
    given = [tensor.dtype for tensor in model.inputs]
    if len(given) != 1 or not keras.backend.is_float_dtype(given[0]):
        expected = "a model with one floating-point input"
        raise ValueError(invalid_argument("model", OWNER, expected=expected, received=given))
    images, shape = np.asarray(images, "float32"), model.inputs[0].shape
    same_rank = images.ndim == len(shape) and len(images)
    if not same_rank or any(size not in (None, got) for size, got in zip(shape, images.shape, strict=True)):
        expected = f"a batch of shape {tuple(shape)}"
        raise ValueError(invalid_argument("images", OWNER, expected=expected, received=images.shape))
    return images


def _checked_keep(keep, shape):
    """Returns the mask as booleans, or raises `ValueError` if it does not fit the maps or keeps nothing."""
    mask = np.ones(shape, bool) if keep is None else np.asarray(keep)
    expected = f"booleans that broadcast to shape {shape} and keep something"
    fits = mask.dtype == bool and mask.ndim <= len(shape)
    fits = fits and all(size in (1, whole) for size, whole in zip(mask.shape[::-1], shape[::-1], strict=False))
    if not fits or not mask.any():
        received = f"{mask.dtype} of shape {mask.shape}, {int(np.count_nonzero(mask))} kept"
        raise ValueError(invalid_argument("keep", OWNER, expected=expected, received=received))
    return mask


def _inner(tensor):
    """Returns all axes but that of the samples."""
    return tuple(range(1, len(tensor.shape)))


def _sum(tensor):
    """Returns the sum over all axes but that of the samples."""
    return ops.sum(tensor, axis=_inner(tensor))


def _roughness(pixels):
    """Returns the mean squared difference of neighbours, summed over all axes but those of samples and channels."""
    axes = [axis for axis in _inner(pixels)[:-1] if pixels.shape[axis] > 1]
    return sum(ops.mean(ops.diff(pixels, axis=axis) ** 2, axis=_inner(pixels)) for axis in axes)
