"""Exported files answer on an emulated ARM processor as here; `tox -e arm` runs this, as it fetches an emulator.

LiteRT has other kernels there: other instructions, another order of summation.
"""

import importlib.metadata
import os
import warnings

import numpy as np
import pytest
from arm import inside
from arm.emulator import CannotBeFetchedError, Emulator, fetched
from model_zoo import inputs_for, randomise
from zoo import BUILDERS

import keras_slim as slim
from keras_slim.errors import ExportError
from keras_slim.export.tflite_file import TfliteFile

pytestmark = pytest.mark.skipif("KERAS_SLIM_ARM" not in os.environ, reason="fetches an emulator: tox -e arm")

SAMPLES = 8
# Of the largest answer: a dozen roundings of float32. The most that was seen is 1.4e-6.
FLOATS_AGREE_TO = 2e-6
# Its kernels round ties to int8 otherwise at times, and what follows multiplies that. Of 38 files 34 answer to the bit;
# the others, all with products of activations, were up to 2 of 256 steps apart, in 6 % of their answers.
MOST_STEPS, MOST_APART = 2, 0.1


@pytest.fixture(scope="session")
def emulator():
    try:
        home = fetched()
    except CannotBeFetchedError as error:
        pytest.skip(f"no emulated ARM: {error}")
    emulator = Emulator(home)
    yield emulator
    emulator.close()


def test_it_is_arm_with_the_same_litert(emulator):
    assert emulator.machine == "aarch64"
    assert emulator.litert == importlib.metadata.version("ai-edge-litert")


@pytest.mark.parametrize("quantize", [None, "int8"])
@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_a_file_answers_as_here(build, quantize, emulator, tmp_path, uncompiled_adder_layers):
    model = randomise(build())
    path = tmp_path / "net.tflite"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", slim.errors.SlimWarning)
            slim.export_tflite(model, path, quantize, inputs_for(model, samples=16), -np.inf, verbose=0)
    except ExportError as error:
        pytest.skip(f"not exported: {str(error)[:60]}")
    inputs = draw(path)
    here, there = inside.answers(str(path), inputs), emulator.answers(path, inputs)
    assert len(here) == len(there) > 0
    for ours, theirs in zip(here, there, strict=True):
        if ours.dtype == np.float32:
            assert np.abs(ours - theirs).max() <= FLOATS_AGREE_TO * np.abs(ours).max()
        else:
            steps = np.abs(ours.astype(int) - theirs.astype(int))
            assert steps.max() <= MOST_STEPS
            assert np.mean(steps > 0) <= MOST_APART


def draw(path):
    """Returns random samples of each input in its own type: all integers of int8, small ones of other types."""
    random = np.random.default_rng(0)

    def of(details):
        shape, kind = (SAMPLES, *details["shape"]), details["dtype"]
        if kind == np.float32:
            return random.standard_normal(shape).astype(kind)
        return random.integers(*((-128, 128) if kind == np.int8 else (0, 2)), shape).astype(kind)

    return [of(details) for details in TfliteFile(path).interpreter.get_input_details()]
