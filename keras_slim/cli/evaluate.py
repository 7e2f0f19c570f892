"""`keras-slim evaluate`: how good a LiteRT file is on a data set, and what it changes against its model."""

import json

from keras_slim.cli.arguments import SAMPLES, add_command, add_data_option, add_json_option, add_signature_option, count
from keras_slim.cli.files import check_file, load_model, load_samples
from keras_slim.cli.silence import verbosity

DETAILS = f"""\
Runs the file on all samples. With --model, the same metrics are measured on the model too, and the tables tell how far
the two are apart and, for classifiers, what the file changes class by class.

Metrics are those of keras.metrics, by name: accuracy, mae, top_k_categorical_accuracy, AUC, ... For a model with
several outputs, name one for each, in their order.

{SAMPLES}Several inputs need --model.

example:
  keras-slim evaluate model.tflite --data data.npz --model model.keras --metric accuracy
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Measure metrics on a LiteRT file, and what it changes"
    parser = add_command(subparsers, parents, "evaluate", summary, DETAILS, run)
    parser.add_argument("file", metavar="FILE", help="a .tflite file")
    add_data_option(parser, "samples with targets", required=True)
    parser.add_argument("--model", metavar="MODEL", help="the .keras file that it was made from")
    parser.add_argument("--metric", action="append", metavar="NAME", help="a metric (default accuracy); repeatable")
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="threads to use (default 1)")
    add_signature_option(parser)
    add_json_option(parser)


def run(args):
    """Prints the metrics of a file."""
    from keras_slim.export import evaluate_tflite

    check_file(args.file, "a LiteRT file")
    x, y = load_samples(args.data, args.file, args.pixels)
    if y is None:
        raise ValueError(f"{args.data} has no targets, which metrics need. See --help.")
    model = load_model(args.model) if args.model else None
    found = evaluate_tflite(
        args.file,
        (x, y),
        args.metric or "accuracy",
        model=model,
        threads=args.threads,
        verbose=verbosity(args),
        signature=args.signature,
    )
    print(json.dumps(found.to_dict(), indent=1) if args.json else found)
