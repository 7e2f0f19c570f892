"""`keras-slim inspect`: what is in a compressed model."""

import json

from keras_slim.cli.arguments import add_command, add_json_option, add_limit_option, limits, path_ending_with
from keras_slim.cli.files import check_file, check_output
from keras_slim.cli.silence import verbosity
from keras_slim.whole_files import written_whole

DETAILS = """\
A line for each layer: how many weights are kept, the bits that tell which shared value each has, bytes in the file, and
how many times less that is than in memory. The lines add up to the size of the file.

--histogram draws how the weights of each kernel that are not zero are spread, or how often each of its shared values
occurs.

example:
  keras-slim inspect model.slim.h5 --histogram weights.png
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    parser = add_command(subparsers, parents, "inspect", "Show what each layer takes in a file", DETAILS, run)
    parser.add_argument("file", metavar="FILE", help="a file that `keras-slim compress` wrote")
    parser.add_argument(
        "--histogram",
        type=path_ending_with(".png", ".svg", ".pdf"),
        metavar="IMAGE",
        help="also draw the weights: a .png, .svg or .pdf file",
    )
    add_limit_option(parser)
    add_json_option(parser)


def run(args):
    """Prints the table, and draws the picture."""
    from keras_slim.compression import inspect_compressed

    check_file(args.file, "a compressed model")
    if args.histogram:
        check_output(args.histogram)
    report = inspect_compressed(args.file, **limits(args), verbose=verbosity(args))
    if args.histogram:
        _draw(args)
    print(json.dumps(report.to_dict(), indent=1) if args.json else report)


def _draw(args):
    from keras_slim.compression import load_compressed
    from keras_slim.reports import plot_weights

    figure = plot_weights(load_compressed(args.file, **limits(args)))
    with written_whole(args.histogram) as scratch:
        figure.savefig(scratch)
