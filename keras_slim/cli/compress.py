"""`keras-slim compress`: a model in a file that is really small."""

import json

from keras_slim.cli.arguments import add_command, add_json_option, add_output_option
from keras_slim.cli.files import check_output, load_model
from keras_slim.cli.silence import verbosity

DETAILS = """\
What pays is seen from the weights: zeros and shared values cost a few bits each, whole rows and columns of zeros next
to nothing. Prune the model first, and let its weights share values. What is neither sparse nor shared is stored as it
is, unless --float16 rounds it. The optimizer, and how the model was compiled, are left out.

example:
  keras-slim compress model.keras -o model.slim.h5
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Write a model to a file that is as small as its weights allow"
    parser = add_command(subparsers, parents, "compress", summary, DETAILS, run)
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    add_output_option(parser, ".h5")
    parser.add_argument("--float16", action="store_true", help="round what is neither sparse nor shared")
    add_json_option(parser)


def run(args):
    """Writes the file, and prints what each layer takes."""
    from keras_slim.compression import save_compressed

    check_output(args.output)
    report = save_compressed(load_model(args.model), args.output, float16=args.float16, verbose=verbosity(args))
    print(json.dumps(report.to_dict(), indent=1) if args.json else report)
