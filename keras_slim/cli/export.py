"""`keras-slim export`: a model as a LiteRT file, proved to answer like it."""

import json

from keras_slim.cli.arguments import add_command, add_json_option, path_ending_with
from keras_slim.cli.files import load_model, load_samples

PRECISIONS = ("float16", "dynamic", "int8")
TARGETS = ("phone", "microcontroller")

DETAILS = """\
The file has built-in operations and a fixed batch of one. It is run beside Keras before it takes its place; one that
lies is deleted, and the exit code is 1.

int8 takes the ranges of all activations from 100 to 500 typical samples: the array `x` of a .npz file,
numpy.savez("data.npz", x=x[:200]); `x_0`, `x_1`, ... for a model with several inputs. Other precisions are checked on
the samples, or on random ones.

example:
  keras-slim export model.keras model.tflite --quantize int8 --data data.npz
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Write a model as a LiteRT file, proved to answer like it"
    parser = add_command(subparsers, parents, "export", summary, DETAILS, run)
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    parser.add_argument("output", metavar="OUT.tflite", type=path_ending_with(".tflite"), help="the file to write")
    parser.add_argument("--quantize", choices=PRECISIONS, help="fewer bits (default: float32)")
    parser.add_argument("--data", metavar="FILE.npz", help="typical samples; needed for int8")
    parser.add_argument("--tolerance", type=float, metavar="DB", help="least signal-to-error ratio, in decibels")
    parser.add_argument(
        "--target", choices=TARGETS, help="what runs the file; a microcontroller tells its memory (default: a phone)"
    )
    add_json_option(parser)


def run(args):
    """Writes the file and prints the report."""
    from keras_slim.export import export_tflite

    if args.quantize == "int8" and args.data is None:
        raise ValueError("--quantize int8 needs --data FILE.npz, 100 to 500 typical samples. See --help.")
    x = load_samples(args.data)[0] if args.data else None
    report = export_tflite(
        load_model(args.model),
        args.output,
        quantize=args.quantize,
        data=x,
        tolerance=args.tolerance,
        verbose=0,
        target=args.target,
    )
    print(json.dumps(report.to_dict(), indent=1) if args.json else report)
