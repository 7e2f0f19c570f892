"""Runs files in LiteRT inside the emulated processor, one after the other; `emulator` starts it and feeds it."""

import importlib.metadata
import platform
import sys

import numpy as np


def main():
    """Answers each line of standard input, the path of a folder with a file and samples, with a line of its own."""
    print(platform.machine(), importlib.metadata.version("ai-edge-litert"), flush=True)
    for line in sys.stdin:
        folder = line.rstrip("\n")
        with np.load(f"{folder}/inputs.npz") as archive:
            inputs = [archive[name] for name in archive.files]
        np.savez(f"{folder}/outputs.npz", *answers(f"{folder}/model.tflite", inputs))
        print("done", flush=True)


def answers(path, inputs):
    """Returns the outputs of a file as it stores them, a list of arrays of shape `(samples, ...)`.

    Args:
        path: Path of the file.
        inputs: For each input, in the file's order and types, an array of shape `(samples, ...)`.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=1)
    interpreter.allocate_tensors()
    rows = []
    for sample in zip(*inputs, strict=True):
        for details, array in zip(interpreter.get_input_details(), sample, strict=True):
            interpreter.set_tensor(details["index"], array)
        interpreter.invoke()
        rows.append([interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()])
    return [np.stack(output) for output in zip(*rows, strict=True)]


if __name__ == "__main__":
    main()
