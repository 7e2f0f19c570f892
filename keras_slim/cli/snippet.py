"""`keras-slim snippet`: the lines of code with which an app calls a LiteRT file."""

from keras_slim.cli.arguments import add_command
from keras_slim.cli.files import check_file

LANGUAGES = ("kotlin", "swift", "react-native")

DETAILS = """\
Shapes, types, scales and zero points are those of the file; the lines name the version of the runtime they are for.
They are not compiled by us: no Android or iOS tools are needed to write them.

example:
  keras-slim snippet model.tflite --language kotlin
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Write the lines with which an app calls a LiteRT file"
    parser = add_command(subparsers, parents, "snippet", summary, DETAILS, run)
    parser.add_argument("file", metavar="FILE", help="a .tflite file")
    parser.add_argument("--language", choices=LANGUAGES, required=True, help="Android, iOS, or both in JavaScript")


def run(args):
    """Prints the lines."""
    from keras_slim.export import snippet_tflite

    check_file(args.file, "a LiteRT file")
    print(snippet_tflite(args.file, args.language))
