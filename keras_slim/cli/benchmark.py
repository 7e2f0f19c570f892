"""`keras-slim benchmark`: how long a LiteRT file takes on this machine."""

import json

from keras_slim.cli.arguments import add_command, add_json_option, add_signature_option, count

DETAILS = """\
Milliseconds on this machine are not those of a phone. To compare two files, time both on the same idle machine.

example:
  keras-slim benchmark model.tflite --threads 2
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Time a LiteRT file on this machine"
    parser = add_command(subparsers, parents, "benchmark", summary, DETAILS, run)
    parser.add_argument("file", metavar="FILE", help="a .tflite file")
    parser.add_argument("--threads", type=count, default=1, metavar="N", help="threads to use (default 1)")
    parser.add_argument("--runs", type=count, default=100, metavar="N", help="timed inferences (default 100)")
    add_signature_option(parser)
    add_json_option(parser)


def run(args):
    """Prints the latency of a file."""
    from keras_slim.cli.files import check_file
    from keras_slim.export import benchmark_tflite

    check_file(args.file, "a LiteRT file")
    latency = benchmark_tflite(args.file, threads=args.threads, runs=args.runs, signature=args.signature)
    print(json.dumps(latency.to_dict(), indent=1) if args.json else latency)
