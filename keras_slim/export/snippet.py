"""The lines of code with which an app calls a file."""

import os

from keras_slim.errors import ExportError, one_of
from keras_slim.export.snippets import kotlin, react_native, swift
from keras_slim.export.snippets.variable import variables
from keras_slim.export.tflite_file import describe, load_single
from keras_slim.validation import check_choice

LANGUAGES = {"kotlin": kotlin, "swift": swift, "react-native": react_native}


def snippet_tflite(path: str | os.PathLike, language: str) -> str:
    """Returns the lines with which an app calls a LiteRT file, filled in for it.

    They name the shapes and types of the file, and turn real numbers into those it stores and back where it stores
    integers with a scale and a zero point. They use documented calls of one runtime, whose version they name, and are
    not compiled by us.

    Args:
        path: Path of the file.
        language: `"kotlin"` for Android, `"swift"` for iOS, or `"react-native"` for both.

    Returns:
        The code.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the language is none of these, or the file has several signatures.
        ExportError: If the file does not load, or takes numbers of a type that the runtime of the language has not.

    Example:

    >>> print(snippet_tflite("digits.tflite", "kotlin"))  # doctest: +SKIP
    """
    check_choice(language, "language", "snippet_tflite", tuple(LANGUAGES))
    file = load_single(path, "snippet_tflite")
    inputs, outputs = variables(describe(file.inputs), describe(file.outputs))
    writer = LANGUAGES[language]
    for variable in (*inputs, *outputs):
        if variable.tensor.dtype not in writer.DTYPES:
            raise ExportError(
                f"{file.path} has the tensor '{variable.tensor.name}' of type {variable.tensor.dtype}. Expected, with "
                f"{writer.VERSION}, {one_of(writer.DTYPES)}. Export a model with such inputs and outputs."
            )
    runtime = f", for TFLite {file.least_runtime} or later" if file.least_runtime else ""
    name = os.path.basename(file.path)
    heading = f"// Written by keras_slim for {name}{runtime}; not compiled by us."
    return "\n".join([heading, *writer.write(name, inputs, outputs)])
