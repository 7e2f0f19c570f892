"""Proof at full accuracy: `proof.py EXPERIMENT --data-dir DIR` measures, writes the tables, and draws the figure."""

import argparse
import importlib
import pathlib
import subprocess
import sys

import charts
from results_file import FOLDER

EXPERIMENTS = {
    "resnet20": "ResNet-20 on all of CIFAR-10, cut by 2x and 4x, beside torch-pruning",
    "transfer": "EfficientNet-Lite0 with ImageNet weights, put to CIFAR-10 and to cat against dog, and made small",
}
DRAWING = pathlib.Path(__file__).parents[1] / "docs" / "draw_proof.py"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    chosen = parser.add_subparsers(dest="experiment", required=True)
    for name, words in EXPERIMENTS.items():
        importlib.import_module(f"proof_{name}").add_options(chosen.add_parser(name, help=words, description=words))
    options = parser.parse_args()
    importlib.import_module(f"proof_{options.experiment}").measure(options)
    if options.experiment == "resnet20":
        picture = charts.FOLDER / "proof.svg"
        subprocess.run([sys.executable, DRAWING, FOLDER / "proof_resnet20.json", picture], check=True)


if __name__ == "__main__":
    main()
