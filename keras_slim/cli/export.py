"""`keras-slim export`: a model as a LiteRT file, proved to answer like it."""

import json

from keras_slim.cli.arguments import SAMPLES, add_command, add_data_option, add_json_option, add_output_option
from keras_slim.cli.files import load_model, load_samples

PRECISIONS = ("float16", "dynamic", "int8")
TARGETS = ("phone", "microcontroller")

DETAILS = f"""\
The file has built-in operations and a fixed batch of one. It is run beside Keras before it takes its place; one that
lies is deleted, and the exit code is 1.

int8 takes the ranges of all activations from 100 to 500 typical samples. Other precisions are checked on the samples,
or on random ones.

{SAMPLES}
example:
  keras-slim export model.keras -o model.tflite --quantize int8 --data data.npz
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Write a model as a LiteRT file, proved to answer like it"
    parser = add_command(subparsers, parents, "export", summary, DETAILS, run)
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    add_output_option(parser, ".tflite")
    parser.add_argument("--quantize", choices=PRECISIONS, help="fewer bits (default: float32)")
    add_data_option(parser, "typical samples, needed for int8")
    parser.add_argument("--tolerance", type=float, metavar="DB", help="least signal-to-error ratio, in decibels")
    parser.add_argument(
        "--target", choices=TARGETS, help="what runs the file; a microcontroller tells its memory (default: a phone)"
    )
    add_json_option(parser)


def run(args):
    """Writes the file and prints the report."""
    from keras_slim.export import export_tflite

    if args.quantize == "int8" and args.data is None:
        raise ValueError("--quantize int8 needs --data PATH, 100 to 500 typical samples. See --help.")
    model = load_model(args.model)
    x = load_samples(args.data, model, args.pixels)[0] if args.data else None
    report = export_tflite(
        model,
        args.output,
        quantize=args.quantize,
        data=x,
        tolerance=args.tolerance,
        verbose=0,
        target=args.target,
    )
    print(json.dumps(report.to_dict(), indent=1) if args.json else report)
