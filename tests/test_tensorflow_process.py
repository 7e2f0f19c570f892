"""The process of TensorFlow beside this one: it calls functions, hands on their errors, and leaves when it is idle."""

import operator
import os
import signal
import time

import pytest

from keras_slim import errors, tensorflow_process
from keras_slim.tensorflow_process import TensorFlowProcess


@pytest.fixture(scope="module")
def process():
    process = TensorFlowProcess("counts sheep", imports="json")
    yield process
    process.end()


def test_an_interrupt_ends_it(process, monkeypatch):
    def interrupted(answers):
        raise KeyboardInterrupt

    begun = process.start()
    with monkeypatch.context() as patch:
        patch.setattr(tensorflow_process.pickle, "load", interrupted)
        with pytest.raises(KeyboardInterrupt):
            process.call(time.sleep, 600)
    assert begun.poll() == -signal.SIGKILL


def test_it_serves_many_calls_for_tensorflow_without_a_gpu(process):
    pids = {process.call(os.getpid) for _ in range(3)}
    assert len(pids) == 1
    assert os.getpid() not in pids
    assert process.call(os.getenv, "KERAS_BACKEND") == "tensorflow"
    assert process.call(os.getenv, "CUDA_VISIBLE_DEVICES") == "-1"


def test_what_it_says_is_shown_on_demand(process, capfd):
    process.call(os.system, "echo not so loud")
    process.call(os.system, "echo hello", shows=True)
    process.call(os.system, "echo silence")
    assert "".join(capfd.readouterr()) == "hello\n"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ((int, "x"), ValueError, r"^invalid literal for int\(\) with base 10: 'x'$"),
        ((operator.add, 1, "x"), TypeError, "^unsupported operand"),
        ((operator.truediv, 1, 0), errors.ExportError, "^ZeroDivisionError: division by zero\n"),
        ((exec, "raise SystemExit(3)"), errors.ExportError, "^SystemExit: 3\n"),
        (
            (exec, "from keras_slim import errors; raise errors.UnsupportedLayerError('no')"),
            errors.UnsupportedLayerError,
            "^no$",
        ),
    ],
)
def test_errors_are_raised_here(process, call, error, message):
    with pytest.raises(error, match=message):
        process.call(*call)
    assert process.call(abs, -1) == 1


def test_it_finds_modules_that_this_process_finds(process, monkeypatch, tmp_path):
    (tmp_path / "found_late.py").write_text("number = 7", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    process.call(exec, "import found_late; assert found_late.number == 7")


def test_it_leaves_when_idle_and_comes_again(process):
    before = process.call(os.getpid)
    process.call(exec, f"import {tensorflow_process.__name__} as module; module.IDLE_SECONDS = 0.01")
    process.start().wait(timeout=60)
    assert process.call(os.getpid) != before


def test_what_it_holds_of_old_is_left_behind(process, tmp_path):
    code = "import os, pathlib; from keras_slim.tensorflow_process import OutdatedError; path = pathlib.Path({!r})\n"
    code += "if not path.exists(): path.write_text(str(os.getpid())); raise OutdatedError"
    process.call(exec, code.format(str(tmp_path / "pid")))
    assert process.call(os.getpid) != int((tmp_path / "pid").read_text())


def test_its_end_is_told_with_the_reason(process):
    with pytest.raises(errors.ExportError, match="that counts sheep ended by SIGKILL.*It said: a last word"):
        process.call(os.system, "echo a first word; echo a last word; kill -KILL $PPID")
    with pytest.raises(errors.ExportError, match="ended before it was done. It said: nothing"):
        process.call(os._exit, 3)
