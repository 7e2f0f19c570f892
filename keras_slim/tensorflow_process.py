"""TensorFlow in a process of its own, beside this one: quiet, without GPUs, and told of when it ends too soon."""

import atexit
import importlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from typing import Any

from keras_slim import errors

IDLE_SECONDS = 60.0
"""How long the process waits for another call; it holds a gigabyte of memory meanwhile."""

_HAS_LEFT = 75
_START = "from keras_slim.tensorflow_process import serve; serve({!r})"
_RAISED_AGAIN = {error.__name__: error for error in (ValueError, TypeError)} | vars(errors)


class OutdatedError(Exception):
    """Raised by a function that the process calls, ends the process: the function is called again in a new one."""


class TensorFlowProcess:
    """A process in which Keras runs on TensorFlow, whatever it runs on in this one, and which calls functions.

    It starts with the first call, which takes seconds, and serves the others, one at a time. It leaves when none comes
    for a minute, and ends with this process.

    Args:
        what: What it does, a clause, for error messages.
        imports: Name of a module that it imports at once, while its first call may still be prepared.
    """

    def __init__(self, what: str, imports: str = "keras"):
        self._what = what
        self._imports = imports
        self._process: subprocess.Popen | None = None
        self._said: Any = None
        self._lock = threading.RLock()
        atexit.register(self.end)

    def start(self) -> subprocess.Popen:
        """Returns the process; starts it if it does not run, without waiting for it."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self.end()
                self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed in `end`
                paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _START.format(self._imports)],
                    env=environment(KERAS_BACKEND="tensorflow", PYTHONPATH=paths),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._said,
                    start_new_session=True,  # so that an interrupt reaches this process alone, which ends that one
                )
            return self._process

    def call(self, function: Callable, *args: Any, shows: bool = False) -> Any:
        """Returns what a function returns there.

        Args:
            function: A function that can be imported.
            args: Its arguments, which can be pickled.
            shows: Whether to show what the function writes to the terminal.

        Raises:
            ExportError: If the process ends before the function does.
            Exception: What the function raises: an error of keras_slim, `ValueError` or `TypeError` as it is, any other
                as `ExportError`.
        """
        with self._lock:
            answer = self._answer((sys.path, function, args))
            if shows:
                print(self._last_said(), end="", file=sys.stderr)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        """Ends the process, if it runs."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                process.kill()
                process.communicate()
                self._said.close()

    def _answer(self, request):
        while True:
            process = self.start()
            try:
                pickle.dump(request, process.stdin)
                process.stdin.flush()
                return pickle.load(process.stdout)
            except (EOFError, BrokenPipeError):
                code = process.wait()
                if code != _HAS_LEFT:
                    advice = ". Where memory ran out, export a smaller model, or free some" if code == -9 else ""
                    message = too_soon(self._what, self._last_said(), code)
                    raise errors.ExportError(f"{message}{advice}") from None
            except BaseException:  # its answer would be taken for that to the next call
                self.end()
                raise

    def _last_said(self):
        self._said.seek(0)
        return self._said.read().decode(errors="replace")


def environment(**settings: str) -> dict[str, str]:
    """Returns the environment of a process with TensorFlow.

    Args:
        settings: Variables of its own.
    """
    # TensorFlow aborts on flags that are meant for a JAX with a newer XLA.
    inherited = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    return inherited | {"CUDA_VISIBLE_DEVICES": "-1"} | settings


def too_soon(what: str, said: str, code: int = 0) -> str:
    """Returns the message on a process that ended before its work was done.

    Args:
        what: What it does, a clause.
        said: What it wrote to the terminal.
        code: Its exit code.
    """
    by = f" by {signal.Signals(-code).name}" if code < 0 else ""
    last = said.strip().splitlines()[-1] if said.strip() else "nothing"
    return f"The process that {what} ended{by} before it was done. It said: {last}"


def serve(imports: str) -> None:
    """Calls functions for the process that has started this one, until that ends.

    Args:
        imports: As for `TensorFlowProcess`.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    importlib.import_module(imports)
    while True:
        leave = threading.Timer(IDLE_SECONDS, os._exit, [_HAS_LEFT])
        leave.daemon = True
        leave.start()
        try:
            sys.path[:], function, args = pickle.load(requests)
        except EOFError:
            return
        finally:
            leave.cancel()
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        pickle.dump(_called(function, args), answers)
        answers.flush()


def _called(function, args):
    """Returns what a function returns, or the error to raise in its place."""
    try:
        return function(*args)
    except OutdatedError:
        os._exit(_HAS_LEFT)
    except BaseException as error:
        if type(error).__name__ in _RAISED_AGAIN:
            return _RAISED_AGAIN[type(error).__name__](str(error))
        unforeseen = errors.ExportError(f"{type(error).__name__}: {error}")
        unforeseen.add_note(f"In the process of TensorFlow:\n{traceback.format_exc()}")
        return unforeseen
