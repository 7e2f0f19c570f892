"""Writes a model to a file that is really small."""

import json
import os
import re
import tempfile
import warnings

import keras
import numpy as np

from keras_slim.coding import Census, encode_text, take_census
from keras_slim.coding.arrays import encode_pieces
from keras_slim.compression.header import ArrayEntry, AssetEntry, Header
from keras_slim.compression.keras_folder import (
    holds_lambda,
    list_arrays,
    open_weights,
    read_assets,
    read_config,
    save_folder,
)
from keras_slim.compression.report import CompressedLayer, CompressionReport
from keras_slim.compression.sealed_file import write_sealed
from keras_slim.errors import SlimWarning, invalid_argument
from keras_slim.whole_files import written_whole


def save_compressed(
    model: keras.Model, path: str | os.PathLike, *, float16: bool = False, verbose: int = 0
) -> CompressionReport:
    """Writes a model to a file that is as small as its weights allow.

    What pays is seen from each array itself: zeros cost a few bits each, or nearly nothing where whole rows and columns
    are zero; weights that share up to 256 values are stored as a codebook and codes, and blocks of weights that share
    vectors as one code each; all of it is entropy-coded, and the architecture is deflated. Whatever is neither shared
    nor sparse is stored losslessly. `load_compressed` gives the model back, bit for bit.

    Prune the model first (`keras_slim.callbacks.GradualPruning`), and let its weights share values. Zeros have to be
    0.0: the sign of -0.0 costs a bit each.

    Args:
        model: A built model. Its optimizer and how it was compiled are not saved.
        path: Path of the file, an HDF5 file: it ends with `.h5`, by custom with `.slim.h5`. It is written whole or not
            at all.
        float16: Whether to round what is neither shared nor sparse to float16, where its range allows. It takes half
            the bytes; loaded, it is float32 again, with the rounded values.
        verbose: 1 shows a progress bar, in weights.

    Returns:
        The `CompressionReport`: what each layer takes. Printed, it is a table that adds up to the size of the file.

    Raises:
        TypeError: If `model` is not a Keras model.
        ValueError: If the path ends otherwise, or no file can be written there.
        UnsupportedLayerError: If a layer saves something else than numbers.

    Warns:
        SlimWarning: If the model holds a Python `lambda`, so that Keras does not build it without leave.

    Example:

    >>> import tempfile
    >>> model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(100, use_bias=False)])
    >>> kernel = model.layers[0].kernel.assign(np.where(np.arange(30000).reshape(300, 100) % 50, 0, 0.5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = save_compressed(model, os.path.join(folder, "model.slim.h5"))
    >>> report.layers[0].kept, report.layers[0].bits, report.dense_bytes
    (600, 0, 120000)
    >>> report.ratio > 100
    True

    Reference:
        Han et al. (2016), "Deep Compression", arXiv:1510.00149
    """
    if not isinstance(model, keras.Model):
        raise TypeError(invalid_argument("model", "save_compressed", expected="a Keras model", received=model))
    with written_whole(path, "save_compressed", ".h5") as scratch:
        with tempfile.TemporaryDirectory(dir=os.path.dirname(scratch)) as folder:
            save_folder(model, folder)
            header, censuses, parts = _compress(folder, model, float16, verbose)
        head = header.encode()
        write_sealed(scratch, [head, *parts])
        size = os.path.getsize(scratch)
    if holds_lambda(header.config):
        warnings.warn(
            f"Model '{model.name}' holds a Python `lambda`, which is code: `load_compressed` reads {os.fspath(path)} "
            "only after `keras.config.enable_unsafe_deserialization()`, and only if it is that of a `Lambda` layer. "
            "Expected functions of `keras.ops`, or of your own that are registered with "
            "`keras.saving.register_keras_serializable`.",
            SlimWarning,
            stacklevel=2,
        )
    return make_report(os.fspath(path), header, censuses, len(head), size)


def make_report(path, header: Header, censuses: list[Census], header_bytes: int, file_bytes: int) -> CompressionReport:
    """Returns the report on a file, given its header, what is in its arrays, and its sizes."""
    by_layer = {}
    for entry, census in zip(header.arrays, censuses, strict=True):
        by_layer.setdefault((entry.group, entry.layer), []).append((entry, census))
    layers = tuple(_layer(name, arrays) for (_, name), arrays in by_layer.items())
    assets = sum(asset.length for asset in header.assets)
    rest = file_bytes - header_bytes - assets - sum(layer.bytes for layer in layers)
    return CompressionReport(str(path), layers, header_bytes, assets, rest)


def _layer(name, arrays):
    _, largest = max(arrays, key=lambda array: array[0].size)
    return CompressedLayer(
        name,
        weights=sum(entry.size for entry, _ in arrays),
        kept=sum(census.kept for _, census in arrays),
        bits=largest.bits,
        bytes=sum(entry.length for entry, _ in arrays),
        dense_bytes=sum(entry.bytes for entry, _ in arrays),
        block=largest.block,
    )


def _compress(folder, model, float16, verbose):
    """Returns the header, a census of each array, and the parts that follow the header."""
    config, version = read_config(folder)
    entries, censuses, parts = [], [], []
    with open_weights(folder, "r") as file:
        arrays = _in_order_of(config, list_arrays(file, model))
        bar = keras.utils.Progbar(sum(saved.size for saved in arrays), verbose=verbose, unit_name="weight")
        for saved in arrays:
            array = saved.read()
            census = take_census(array)
            if float16 and not (census.is_shared or census.is_sparse):
                array = _rounded(array)
                census = take_census(array)
            length = 0
            for size, code in encode_pieces(array):
                parts.append(code)
                length += len(code)
                bar.add(size)
            entries.append(
                ArrayEntry(saved.group, saved.layer, saved.key, saved.dtype, saved.shape, length, array.dtype.str)
            )
            censuses.append(census)
    assets = []
    for name, content in read_assets(folder).items():
        parts.append(encode_text(content))
        assets.append(AssetEntry(name, len(content), len(parts[-1])))
    return Header(config, version, entries, assets), censuses, parts


def _in_order_of(config, arrays):
    """Returns arrays in the order in which the configuration names their layers."""
    names = list(dict.fromkeys(re.findall(r'"name": "([^"]+)"', json.dumps(config))))
    return sorted(arrays, key=lambda array: names.index(array.layer) if array.layer in names else len(names))


def _rounded(array):
    """Returns an array of real numbers as float16, or as it is where these would overflow."""
    if array.dtype.kind != "f" or array.dtype.itemsize <= 2:
        return array
    with np.errstate(over="ignore"):
        rounded = array.astype("float16")
    return rounded if (np.isfinite(rounded) == np.isfinite(array)).all() else array
