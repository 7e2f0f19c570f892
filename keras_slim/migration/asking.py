"""Asks TFMOT, in a process of its own, what a model is."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from keras_slim.errors import MissingExtraError, first_sentence
from keras_slim.tensorflow_process import environment, too_soon

SCRIPT = pathlib.Path(__file__).with_name("old_process.py")
NUM_SAMPLES = 32
ENDINGS = (".h5", ".hdf5", ".keras")


@contextlib.contextmanager
def asked(path: str, samples: list[np.ndarray] | None, python: str | None) -> Iterator[tuple[dict, "NumberedArrays"]]:
    """Gives what the model in a file is, and its arrays, while the block lasts.

    Args:
        path: Path of the file or folder.
        samples: What it is to answer, one array for each input; drawn at random if there are none.
        python: The interpreter that has TFMOT. Defaults to this one.

    Yields:
        The answer of `old_process.py`, and the arrays whose numbers are in it.

    Raises:
        MissingExtraError: If TFMOT is not installed.
        ValueError: If it cannot read the file.
    """
    with tempfile.TemporaryDirectory(prefix="keras_slim_") as folder:
        request = {"model": os.path.abspath(path), "count": NUM_SAMPLES}
        if samples is not None:
            request["samples"] = path_of_samples = os.path.join(folder, "samples.npz")
            arrays_by_name: dict[str, Any] = {f"x_{index}": each for index, each in enumerate(samples)}
            np.savez(path_of_samples, **arrays_by_name)
        _run(request, folder, python or sys.executable)
        answer = _read(folder, path, python)
        with np.load(os.path.join(folder, "arrays.npz"), allow_pickle=False) as arrays:
            yield answer, NumberedArrays(arrays)


class NumberedArrays:
    """Arrays by number."""

    def __init__(self, arrays):
        self._arrays = arrays

    def __getitem__(self, number: int) -> np.ndarray:
        return self._arrays[str(number)]


def check_model_path(path: str | os.PathLike) -> str:
    """Returns a path, or raises `ValueError` if there can be no old model."""
    path = os.fspath(path)
    if not os.path.exists(path):
        raise ValueError(
            f"There is no file {path}. Give the path of a model: a file that ends with {', '.join(ENDINGS)}, or the "
            "folder of a SavedModel."
        )
    if os.path.isfile(path) and not path.endswith(ENDINGS):
        raise ValueError(
            f"{path} is no model that can be migrated. Expected a file that ends with {', '.join(ENDINGS)}, or the "
            "folder of a SavedModel."
        )
    if _keras_version(path).startswith("3"):
        raise ValueError(
            f"{path} is a model of Keras 3 already. Expected one of `tf_keras`, or Keras 2. Load it with "
            "keras.saving.load_model(path)."
        )
    return path


def _keras_version(path):
    """Returns which Keras wrote a file, an empty text if it does not say so."""
    version: Any = ""
    if os.path.isfile(path) and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file, contextlib.suppress(KeyError, ValueError):
            version = json.loads(file.read("metadata.json")).get("keras_version", "")
    elif os.path.isfile(path) and h5py.is_hdf5(path):
        with h5py.File(path) as file:
            version = file.attrs.get("keras_version", "")
    return version.decode() if isinstance(version, bytes) else str(version)


def _run(request, folder, python):
    """Runs the other side; what it writes to the terminal is kept in a file."""
    path = os.path.join(folder, "request.json")
    pathlib.Path(path).write_text(json.dumps(request), encoding="utf-8")
    # As text, since a script's own folder is where Python looks for modules first, and ours has names of all kinds.
    command = [python, "-c", SCRIPT.read_text(encoding="utf-8"), path]
    variables = environment(TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3")
    try:
        with open(os.path.join(folder, "said"), "w", encoding="utf-8") as said:
            subprocess.run(command, cwd=folder, env=variables, stdout=said, stderr=said, check=False)
    except OSError as error:
        raise ValueError(f"{python} cannot be run: {error}. Give the path of a Python that has TFMOT.") from error


def _read(folder, path, python):
    try:
        answer = json.loads(pathlib.Path(folder, "answer.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        said = pathlib.Path(folder, "said").read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(too_soon(f"reads {path}", said)) from None
    if "missing" in answer:
        there = f" in {python}" if python else ""
        raise MissingExtraError(
            f"`migrate` reads the model with TFMOT and tf_keras, which are not installed{there} ({answer['missing']}). "
            "Run: pip install 'keras_slim[tfmot]', or give the `python` of an environment that has them."
        )
    if "error" in answer:
        advice = "A model with layers or QuantizeConfigs of your own has to be handled where they are defined"
        if "quantize_layer" in answer["error"] and path.endswith(".keras"):
            advice = "TFMOT does not load a model with quantization wrappers from such a file: save it as .h5"
        raise ValueError(f"TFMOT cannot read {path}: {first_sentence(answer['error']).rstrip('.')}. ({advice}.)")
    return answer
