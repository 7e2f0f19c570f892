"""`keras-slim micro`: whether a LiteRT file runs on a microcontroller, and the memory it takes there."""

import json

from keras_slim.cli.arguments import SAMPLES, add_command, add_data_option, add_json_option
from keras_slim.cli.files import check_file, load_samples

DETAILS = f"""\
Runs the file in the runtime of microcontrollers beside LiteRT, and prints the arena: the memory it takes for all that
it computes. Operations that this runtime lacks are named; files with loops, as recurrent layers make, are refused. It
wants: pip install 'keras_slim[micro]', for Linux on x86-64.

{SAMPLES}Several inputs are given in the file's order. Without samples, random ones are run.

example:
  keras-slim micro model.tflite --data data.npz --c firmware/src
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Tell whether a microcontroller runs a LiteRT file, and in how much memory"
    parser = add_command(subparsers, parents, "micro", summary, DETAILS, run)
    parser.add_argument("file", metavar="FILE", help="a .tflite file in float32 or int8")
    add_data_option(parser, "samples to run")
    parser.add_argument("--c", metavar="FOLDER", help="write the file there as C source, a .h and a .cc file")
    parser.add_argument("--name", help="what the C files and their names begin with (default: that of FILE)")
    add_json_option(parser)


def run(args):
    """Prints what a microcontroller says of a file, and writes its C source."""
    from keras_slim.export import check_micro, write_c_array

    check_file(args.file, "a LiteRT file")
    report = check_micro(args.file, load_samples(args.data, args.file, args.pixels)[0] if args.data else None)
    written = write_c_array(args.file, args.c, args.name, report.arena_bytes) if args.c else ()
    if args.json:
        print(json.dumps(report.to_dict() | {"written": list(written)}, indent=1))
    else:
        print(report, *(f"{'written':<12}{path}" for path in written), sep="\n")
