"""`keras-slim decompress`: the model in a file that `keras-slim compress` wrote."""

from keras_slim.cli.arguments import add_command, add_limit_option, add_output_option, limits
from keras_slim.cli.files import check_file, check_output
from keras_slim.cli.silence import verbosity
from keras_slim.whole_files import written_whole

DETAILS = """\
The model is the one that was compressed, bit for bit, weights and outputs. It is not compiled.

example:
  keras-slim decompress model.slim.h5 -o model.keras
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Turn a compressed model back into a .keras file"
    parser = add_command(subparsers, parents, "decompress", summary, DETAILS, run)
    parser.add_argument("file", metavar="FILE", help="a file that `keras-slim compress` wrote")
    add_output_option(parser, ".keras")
    add_limit_option(parser)


def run(args):
    """Writes the model."""
    from keras_slim.compression import load_compressed

    check_file(args.file, "a compressed model")
    check_output(args.output)
    model = load_compressed(args.file, **limits(args), verbose=verbosity(args))
    with written_whole(args.output) as scratch:
        model.save(scratch)
    print(f"Wrote {args.output}")
