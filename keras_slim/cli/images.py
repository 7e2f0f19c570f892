"""A folder of images as samples, read by Keras and sized for a model or a LiteRT file."""

import pathlib

from keras_slim.errors import first_sentence

COLORS = {1: "grayscale", 3: "rgb", 4: "rgba"}


def load_images(path, like, pixels):
    """Returns the images in a folder, and the class of each where the folder holds one folder for each class.

    Args:
        path: Path of the folder. Classes are numbered in the order of their names, as Keras does.
        like: What takes the images: a model, or the path of a LiteRT file.
        pixels: What black and white become, two numbers.

    Returns:
        `(x, y)`: an array `(images, height, width, channels)`, or with channels first where `like` has them; and an
        array of integers, or None.

    Raises:
        ValueError: If there are no images, one cannot be read, `like` does not take one image of a fixed size, or its
            numbers do not reach from black to white.
    """
    import keras
    import numpy as np

    size, channels, data_format, dtype = _image_taken_by(like, path)
    _check_range(pixels, dtype)
    has_classes = any(each.is_dir() and not each.name.startswith(".") for each in pathlib.Path(path).iterdir())
    paths, found = None, []
    try:
        images = keras.utils.image_dataset_from_directory(
            path,
            labels="inferred" if has_classes else None,
            color_mode=COLORS[channels],
            image_size=size,
            batch_size=None,  # one by one, so that it is known which one cannot be read
            shuffle=False,
            data_format=data_format,
            verbose=False,
        )
        paths = images.file_paths
        found += (each if has_classes else (each, None) for each in images)
    except Exception as error:  # Keras's for no image, TensorFlow's for one that is none
        which, why = f"images in {path}", first_sentence(error)
        if paths:
            which, why = f"image {paths[len(found)]}", why.rpartition(": ")[2]  # without the steps of the data set
        raise ValueError(f"The {which} cannot be read: {why}") from error
    low, high = pixels
    x = np.stack([image for image, _ in found]) / 255 * (high - low) + low
    x = np.rint(x) if np.issubdtype(dtype, np.integer) else x
    return x.astype(dtype), np.stack([number for _, number in found]) if has_classes else None


def _check_range(pixels, dtype):
    import numpy as np

    if np.issubdtype(dtype, np.integer):
        lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
        if min(pixels) < lowest or max(pixels) > highest:
            raise ValueError(
                f"The model takes {dtype}, numbers from {lowest} to {highest}. Expected --pixels within them. "
                f"Received: {pixels[0]:g} {pixels[1]:g}. Without --pixels, black is 0 and white is 255."
            )


def _image_taken_by(like, path):
    """Returns height and width, channels, where these stand, and the type of numbers."""
    inputs = _inputs_of(like)
    if len(inputs) == 1 and len(inputs[0].shape) == 3 and None not in inputs[0].shape:
        shape, dtype = inputs[0].shape, inputs[0].dtype
        if shape[-1] in COLORS:
            return shape[:2], shape[-1], "channels_last", dtype
        if shape[0] in COLORS:
            return shape[1:], shape[0], "channels_first", dtype
    taken = " and ".join(str(each.shape) for each in inputs)
    raise ValueError(
        f"{path} is a folder of images, which goes with one input (height, width, channels) of a fixed size with 1, 3 "
        f"or 4 channels. The input here is {taken}. Save the samples as arrays: numpy.savez('data.npz', x=x, y=y)."
    )


def _inputs_of(like):
    from keras_slim.export.signature import inputs_of_file, read_signature
    from keras_slim.export.tflite_file import TfliteFile

    if isinstance(like, str):
        return list(inputs_of_file(TfliteFile(like)).values())
    return read_signature(like, "keras-slim").inputs
