"""The same trained ResNet-20 cut by keras_slim, by torch-pruning and by TensorFlow Model Optimization."""

import argparse
import json
import os
import pathlib
import subprocess

import images
import numpy as np
import peers_keras
import peers_table
from peers_training import Cells
from results_file import FOLDER, write

import keras_slim as slim

PARTS = ("train", "validation", "test")
NOT_OF_A_CELL = ("data_dir", "torch_python", "tfmot_python", "seeds", "speed_ups", "cut_only")


def prepare(options):
    """Returns the folder of the runs with these options, and the data, which the peers read from a file in it.

    Where cuts alone are measured, they are measured anew at every start: the trained networks are kept.
    """
    name = "-".join(f"{key}-{value}" for key, value in vars(options).items() if key not in NOT_OF_A_CELL)
    folder = FOLDER / name_of(options) / name
    folder.mkdir(parents=True, exist_ok=True)
    if options.cut_only:
        Cells(folder).forget()
    (folder / "options.json").write_text(json.dumps(vars(options), indent=1) + "\n")
    path = folder / "data.npz"
    if not path.exists():
        pairs = images.load_cifar10(options.data_dir, options.images, options.validation, options.test)
        arrays = {
            f"{kind}_{part}": each
            for part, pair in zip(PARTS, pairs, strict=True)
            for kind, each in zip("xy", pair, strict=True)
        }
        np.savez(path, **arrays)
    with np.load(path) as file:
        return folder, dict(file)


def name_of(options):
    """Returns the name of the results: cuts alone are no replacement for the whole comparison."""
    return "peers_cut" if options.cut_only else "peers"


def run_peer(python, script, folder, seed, **environment):
    """Runs another side under its own interpreter."""
    if python:
        command = [python, str(pathlib.Path(__file__).with_name(script)), str(folder), str(seed)]
        subprocess.run(command, check=True, env={**os.environ, **environment})


def time_files(cells, folder):
    """Returns the cells, those with a file along with the time it takes; all are timed in turn, the best of three."""
    paths = {index: folder / cell["file"] for index, cell in enumerate(cells) if "file" in cell}
    times = [{index: slim.benchmark_tflite(path).median_ms for index, path in paths.items()} for _ in range(3)]
    return [
        {**cell, "milliseconds": min(each[index] for each in times)} if index in paths else cell
        for index, cell in enumerate(cells)
    ]


def report(cells, options, folder):
    """Writes the results of all finished cells."""
    cells = time_files([cell for cell in cells if cell["seed"] < options.seeds], folder)
    tables = [*peers_table.accuracy_tables(cells, options.speed_ups), *peers_table.file_table(cells, options.speed_ups)]
    title = "Side by side with other tools" + (", cuts alone" if options.cut_only else "")
    write(name_of(options), title, tables, peers_table.note(cells, options), cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with cifar10.npz; without it Keras downloads the set")
    parser.add_argument("--torch-python", help="interpreter that has torch-pruning; without it, it is left out")
    parser.add_argument(
        "--tfmot-python", help="interpreter that has tensorflow-model-optimization and tf_keras; likewise"
    )
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--images", type=int, default=8_000, help="training images (default: 8000)")
    parser.add_argument("--validation", type=int, default=2_500)
    parser.add_argument("--test", type=int, default=5_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, help="default: 10, with --cut-only 2")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--fine-tuning-epochs", type=int, default=2)
    parser.add_argument("--fine-tuning-rate", type=float, default=0.02)
    parser.add_argument("--samples", type=int, default=1024, help="images that data-driven cuts see (default: 1024)")
    parser.add_argument("--speed-ups", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--cut-only", action="store_true", help="no fine-tuning, no TFMOT: what a cut takes, measured anew, in minutes"
    )
    options = parser.parse_args()
    options.epochs = options.epochs or (2 if options.cut_only else 10)
    folder, data = prepare(options)
    for seed in range(options.seeds):
        peers_keras.run(folder, seed, data, options)
        run_peer(options.torch_python, "peers_torch.py", folder, seed)
        if not options.cut_only:
            run_peer(options.tfmot_python, "peers_tfmot.py", folder, seed, TF_USE_LEGACY_KERAS="1")
    report(Cells(folder).read(), options, folder)


if __name__ == "__main__":
    main()
