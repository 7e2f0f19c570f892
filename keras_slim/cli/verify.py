"""`keras-slim verify`: whether a LiteRT file answers like the model it was made from."""

import json

from keras_slim.cli.arguments import SAMPLES, add_command, add_data_option, add_json_option, add_signature_option
from keras_slim.cli.files import check_file, load_model, load_samples

DETAILS = f"""\
Runs the file beside Keras on all samples. The least agreement to accept is 60 dB for float32, 40 for float16, 20 for
dynamic-range int8 and 10 for full int8, unless --tolerance says otherwise.

{SAMPLES}
example:
  keras-slim verify model.keras model.tflite --data data.npz
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Check that a LiteRT file answers like its model"
    parser = add_command(subparsers, parents, "verify", summary, DETAILS, run)
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    parser.add_argument("file", metavar="FILE", help="a .tflite file made from it")
    add_data_option(parser, "samples to run", required=True)
    parser.add_argument("--tolerance", type=float, metavar="DB", help="least signal-to-error ratio, in decibels")
    add_signature_option(parser)
    add_json_option(parser)


def run(args):
    """Prints the agreement of a file with its model, or fails."""
    from keras_slim.export import verify_tflite

    check_file(args.file, "a LiteRT file")
    model = load_model(args.model)
    x, _ = load_samples(args.data, model, args.pixels)
    agreement = verify_tflite(model, args.file, x, tolerance=args.tolerance, signature=args.signature)
    print(
        json.dumps(agreement.to_dict(), indent=1)
        if args.json
        else f"{args.file} answers like {args.model}.\n{agreement}"
    )
