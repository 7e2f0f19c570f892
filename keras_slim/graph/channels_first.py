"""What TensorFlow cannot convolve on this processor, in one sentence instead of its own many."""

import contextlib
import re

import keras

from keras_slim.errors import UnsupportedLayerError

# Those that TensorFlow hands on as they are; it turns or compiles all others, depthwise and grouped ones too.
_REFUSED = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
)


@contextlib.contextmanager
def clear_about_channels_first(model):
    """Says plainly that TensorFlow has no convolution with channels first on this processor.

    On the CPU it has one only with oneDNN, which it turns on by itself only where the processor has AVX-512.

    Args:
        model: The model that is computed inside.

    Raises:
        UnsupportedLayerError: In place of TensorFlow's error; names the layers. Other errors pass as they are.
    """
    try:
        yield
    except Exception as error:
        # Convolution: "only supports the NHWC tensor format on the CPU"; gradient and transpose: "only supports NHWC".
        if not re.search("only supports (the )?NHWC", f"{error} {error.__cause__}"):  # a layer that fails may be named
            raise
        names = ", ".join(repr(layer.name) for layer in _channels_first(model)) or f"in {model.name!r}"
        raise UnsupportedLayerError(
            f"TensorFlow cannot compute these layers with data_format='channels_first' on this processor: {names}. "
            "Set the environment variable TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is imported, or build the model "
            "with data_format='channels_last'."
        ) from None


def _channels_first(model):
    """Yields the layers that TensorFlow may refuse, those of models inside the model too."""
    for layer in model.layers:
        yield from _channels_first(layer) if hasattr(layer, "layers") else ()
        if isinstance(layer, _REFUSED) and layer.data_format == "channels_first" and getattr(layer, "groups", 1) == 1:
            yield layer
