"""The command, step by step."""

import argparse
import os
import shlex
import sys
import time

from keras_slim.cli.arguments import add_command, count, seed

EPOCHS, FEWEST_EPOCHS = 36, 14
CREDIT = (
    "Data: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), UCI Machine Learning "
    "Repository, https://doi.org/10.24432/C50P49, CC BY 4.0."
)

DETAILS = """\
Trains a small residual network on the handwritten digits that come with the package, once as it is and once pruned
inside `fit`; exports both as float32 and int8 LiteRT files, checks and times them. Writes the models, the files and a
report with a picture. Takes one to two minutes on two cores.

example:
  keras-slim quickstart --seed 1 -o /tmp/digits
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Train, prune and export a real network, and show what was won"
    parser = add_command(subparsers, parents, "quickstart", summary, DETAILS, run)
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the split and the weights (default 0)")
    parser.add_argument(
        "-o", "--output", default="keras-slim-quickstart", metavar="DIR", help="where to write (default %(default)s)"
    )
    parser.add_argument(
        "--epochs", type=_epochs, default=EPOCHS, metavar="N", help=f"of each training (default {EPOCHS})"
    )


def run(args):
    """Runs the main job and shows what was won."""
    from rich.console import Console

    from keras_slim.cli.quickstart.measuring import measure
    from keras_slim.cli.quickstart.report import Report
    from keras_slim.cli.quickstart.training import train_both
    from keras_slim.datasets import load_digits

    start = time.perf_counter()
    _make_folder(args.output)
    console = Console(highlight=False)
    console.print(CREDIT, soft_wrap=True)
    digits = load_digits(seed=args.seed)
    dense, pruned = train_both(digits, args.epochs, args.seed, console)
    console.print("\nExporting, checking and timing the LiteRT files ...")
    comparison = measure(dense.model, pruned.model, digits, args.output)
    report = Report(comparison, dense, pruned, args.seed, args.epochs, time.perf_counter() - start, CREDIT)
    console.print(comparison)
    console.print(report.verdict(), soft_wrap=True)
    console.print(report.write(args.output), soft_wrap=True, markup=False)
    file, model = (shlex.quote(os.path.join(args.output, name)) for name in ("digits-int8.tflite", "pruned.keras"))
    command = f"keras-slim phone {file} --model {model}"
    console.print(f"\nOn your phone, with a pad to draw digits on:\n{command}", soft_wrap=True, markup=False)
    sys.stdout.flush()


def _epochs(text):
    number = count(text)
    if number < FEWEST_EPOCHS:
        raise argparse.ArgumentTypeError(f"expected at least {FEWEST_EPOCHS}, so that the rounds fit, received {text}")
    return number


def _make_folder(path):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--output {path} cannot be made: {error.strerror}.") from error
    if not os.access(path, os.W_OK):
        raise ValueError(f"--output {path} cannot be written to.")
