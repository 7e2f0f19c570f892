"""What a callback makes of a network is the same on one device, on several, and in several processes.

Devices are counted before the backend starts, hence processes of their own: `every_callback.py`.
"""

import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from keras_slim.callbacks.backup import METADATA

PROGRAM = pathlib.Path(__file__).with_name("every_callback.py")
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="strategies are TensorFlow's")
on_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="`keras.distribution` is for JAX")


def start(way, *arguments, devices=1):
    on_devices = {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
    }
    # TensorFlow's mirrored variables do not know NumPy's argument `copy` yet.
    strict = ["-W", "error", "-W", "ignore:__array__ implementation:DeprecationWarning"]
    command = [sys.executable, *strict, PROGRAM, way, *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=os.environ | on_devices, **options)


def finish(*processes):
    try:
        for process in processes:
            said, _ = process.communicate(timeout=600)
            assert process.returncode == 0, said[-3000:]
    finally:
        for process in processes:
            process.kill()


def assert_same(folder, one, other, tolerance, but=()):
    """Compares weights, of those callbacks that both ways have."""
    ours, others = (np.load(folder / f"{way}.npz") for way in (one, other))
    names = [name for name in ours if name in others and name.partition("/")[0] not in but]
    assert {name.partition("/")[0] for name in names} == {name.partition("/")[0] for name in others} - {*but}
    for name in names:
        np.testing.assert_allclose(ours[name], others[name], atol=tolerance, rtol=0, err_msg=name)


@pytest.mark.slow
@on_tensorflow
def test_two_devices_of_a_mirrored_strategy_are_as_good_as_one(tmp_path):
    finish(start("mirrored", tmp_path))
    # Ranges are means of those that devices find in their parts of a batch.
    assert_same(tmp_path, "alone", "mirrored", 1e-4, but=["QuantizationAwareTraining"])


@on_jax
def test_divided_weights_and_two_processes_are_as_good_as_one_device_also_after_a_kill(tmp_path):
    finish(start("divided", tmp_path, devices=4))
    assert_same(tmp_path, "alone", "divided", 1e-4)
    until_killed(*start_both("process", tmp_path), tmp_path / "backup0" / METADATA)
    assert_same(tmp_path, "process0", "process1", 0)
    assert_same(tmp_path, "alone", "process0", 1e-4)
    finish(*start_both("resumed", tmp_path))
    assert_same(tmp_path, "resumed0", "resumed1", 0)
    assert_same(tmp_path, "process0", "resumed0", 1e-6)


def start_both(way, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [start(way, folder, rank, port, devices=2) for rank in (0, 1)]


def until_killed(first, second, noted):
    """Waits until the second process is killed, and kills the first when it has noted how far it was."""
    try:
        said, _ = second.communicate(timeout=600)
        assert second.returncode == 9, said[-3000:]
        for _ in range(600):
            if noted.exists() and '"epoch": 3' in noted.read_text():
                break
            time.sleep(0.1)
    finally:
        for each in (first, second):
            each.kill()
            each.communicate()
