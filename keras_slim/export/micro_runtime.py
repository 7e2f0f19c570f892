"""The runtime of microcontrollers in a process of its own, and what it says there, in plain words."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import tempfile

import numpy as np

from keras_slim.errors import ExportError
from keras_slim.export import micro_run
from keras_slim.export.operations import without_operations

_MOST_SECONDS = 600
_LACKS = re.compile(r"Didn't find op for builtin opcode '(\w+)'")
_HOLDS = re.compile(r"Arena allocation (\w+) (\d+) bytes")


@dataclasses.dataclass(frozen=True)
class Arena:
    """The one piece of memory that the runtime takes, in bytes.

    Args:
        least: With so much the file starts; it may be more than both parts, for what planning takes.
        head: What holds activations, and is used again and again.
        tail: What holds the structure of the file, and stays.
    """

    least: int
    head: int
    tail: int


def answer_apart(file, inputs):
    """Runs samples in the runtime of microcontrollers.

    Args:
        file: A `TfliteFile`.
        inputs: For each input, in the file's order and types, an array of shape `(samples, 1, ...)`.

    Returns:
        The outputs, in the same form, and the `Arena`.

    Raises:
        ExportError: If the runtime lacks operations, refuses the file, crashes or does not end.
    """
    with open(file.path, "rb") as stored:
        content = stored.read()
    with tempfile.TemporaryDirectory() as folder:
        np.savez(os.path.join(folder, micro_run.INPUTS), *inputs)

        def run(content):
            with open(os.path.join(folder, micro_run.FILE), "wb") as copy:
                copy.write(content)
            return _run(folder, _more_than_it_needs(file), len(file.outputs))

        code, least, told = run(content)
        if code:
            raise ExportError(_lacks(content, told, run) or _refuses(file, code, told))
        with np.load(os.path.join(folder, micro_run.OUTPUTS)) as archive:
            return [archive[name] for name in archive.files], Arena(int(least), *_parts(told))


def _run(folder, arena_size, num_outputs):
    """Returns the exit code, and what came on standard output and standard error."""
    # -P: modules beside the script are not to be found before those of other packages.
    command = [sys.executable, "-P", micro_run.__file__, folder, str(arena_size), str(num_outputs)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"it has not ended after {_MOST_SECONDS} s"
    return done.returncode, done.stdout, done.stderr


def _more_than_it_needs(file):
    tensors = file.interpreter.get_tensor_details()
    return 10 * file.size + 8 * sum(int(np.prod(tensor["shape"])) for tensor in tensors) + (1 << 20)


def _parts(told):
    held = dict(_HOLDS.findall(told))
    return int(held["head"]), int(held["tail"])


def _lacks(content, told, run):
    """Returns the message that names all operations the runtime lacks, or nothing; it tells of one at a time."""
    lacking: list[str] = []
    while (found := _LACKS.search(told)) and found[1] not in lacking:
        lacking.append(found[1])
        _, _, told = run(without_operations(content, lacking))
    if not lacking:
        return ""
    return (
        f"The runtime of microcontrollers lacks operations that the file needs: {', '.join(lacking)}. Replace the "
        "layers they come from, and export again."
    )


def _refuses(file, code, told):
    words, _, trace = told.partition("Traceback (most recent call last):\n")
    reasons = [line.strip() for line in words.splitlines() or trace.splitlines()[-1:] if line.strip()]
    if code < 0:
        reasons.append(
            f"it ended by {signal.Signals(-code).name}, as ranges next to 0 make it, those of untrained models"
        )
    hint = "Export for it in float32, or with quantize='int8'." if file.quantize in ("float16", "dynamic") else ""
    return f"The runtime of microcontrollers does not run the file: {'; '.join(reasons)}. {hint}".rstrip()
