"""Runs a file in `tflite-micro`, in a process of its own: `micro_runtime` starts it and reads what comes out.

Of its own, since the runtime prints what its arena holds from C++ on standard error, and a file that it does not
foresee may end the process. Nothing of keras_slim is imported, so that it starts at once.
"""

import os
import sys

import numpy as np

FILE, INPUTS, OUTPUTS = "model.tflite", "inputs.npz", "outputs.npz"


def main(folder, arena_size, num_outputs):
    """Runs each sample once; prints the least arena, and on standard error what the arena holds.

    Args:
        folder: Path of a folder with the file and the samples: for each input, in the file's order and types, an array
            of shape `(samples, 1, ...)`. The answers are put beside them in the same form.
        arena_size: Bytes of memory to give the runtime, more than it needs.
        num_outputs: Number of outputs of the file.
    """
    import resource  # Unix alone has it, as all that the runtime is built for

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is an answer too
    with open(f"{folder}/{FILE}", "rb") as file:
        content = file.read()
    interpreter = _start(content, int(arena_size))
    with np.load(f"{folder}/{INPUTS}") as archive:
        inputs = [archive[name] for name in archive.files]
    rows = [_answer(interpreter, sample, int(num_outputs)) for sample in zip(*inputs, strict=True)]
    np.savez(f"{folder}/{OUTPUTS}", *map(np.stack, zip(*rows, strict=True)))
    interpreter.print_allocations()
    print(_least_arena(content, int(arena_size)))


def _start(content, arena_size):
    from tflite_micro import runtime

    return runtime.Interpreter.from_bytes(content, arena_size=arena_size)


def _least_arena(content, enough):
    """Returns the fewest bytes, a multiple of 16, with which the file starts: more than it holds when it runs."""
    low, high = 0, -(-enough // 16)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _starts_with(content, 16 * middle) else (middle, high)
    return 16 * high


def _starts_with(content, arena_size):
    """Returns whether the file starts, tried in a fork: where memory is short, the runtime may end the process."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        _start(content, arena_size)
        code = 0
    finally:
        os._exit(code)


def _answer(interpreter, sample, num_outputs):
    for index, array in enumerate(sample):
        interpreter.set_input(array, index)
    interpreter.invoke()
    return [np.array(interpreter.get_output(index)) for index in range(num_outputs)]


if __name__ == "__main__":
    main(*sys.argv[1:])
