"""`keras-slim profile`: what a model costs, layer by layer."""

import json

from keras_slim.cli.arguments import add_command, add_json_option
from keras_slim.cli.files import load_model

DETAILS = """\
Counts parameters, bytes, multiplications and additions for one sample. Biases, normalisation and activations count
zero, as in published figures. Energy is an estimate of the arithmetic alone, in microjoules with --json.

example:
  keras-slim profile model.keras
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    parser = add_command(subparsers, parents, "profile", "Count what a model costs, layer by layer", DETAILS, run)
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    parser.add_argument("--all", action="store_true", help="show layers too that count nothing, such as activations")
    add_json_option(parser)


def run(args):
    """Prints the profile of a model."""
    from keras_slim.profiling import profile

    cost = profile(load_model(args.model))
    print(json.dumps(cost.to_dict(), indent=1) if args.json else cost.table(all_layers=args.all))
