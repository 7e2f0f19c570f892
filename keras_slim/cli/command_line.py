"""Finds the command that was typed, runs it, and turns what goes wrong into a message and an exit code."""

import argparse
import os
import sys
import traceback

from keras_slim.cli import (
    benchmark,
    compress,
    compress_model,
    decompress,
    evaluate,
    export,
    inspect,
    micro,
    migrate,
    phone,
    profile,
    prune,
    quickstart,
    report,
    snippet,
    verify,
)
from keras_slim.cli.arguments import common_options
from keras_slim.cli.silence import plain_warnings, quiet_imports
from keras_slim.errors import CompressedFileError, PlanMismatchError, UnreachableTargetError, UnsupportedLayerError

COMMANDS = (
    *(quickstart, profile, prune, export, verify, evaluate, benchmark, phone, micro, snippet),
    *(compress_model, compress, decompress, inspect, report, migrate),
)
WORK_FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130

# Errors that say what happened in words of their own; any other is a bug of ours, and named by its type.
EXPECTED = (ValueError, OSError, ImportError, RuntimeError)
# Of the wrong values, those that only the work could show to be wrong.
FOUND_AT_WORK = (CompressedFileError, PlanMismatchError, UnreachableTargetError, UnsupportedLayerError)

EPILOG = """\
exit codes:
  0  success
  1  the work failed: a file that does not answer like its model, a ratio out of reach, ...
  2  the command as typed cannot be right: an unknown option, a missing file, a value out of range

KERAS_SLIM_DEBUG=1, or --debug, shows where an error comes from.
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: The words after the program's name. Defaults to those it was started with.

    Returns:
        The exit code: 0 for success, 1 where the work failed, 2 where the command as typed cannot be right.

    Raises:
        SystemExit: From argparse, for `--help`, `--version` and unknown options.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    args, unknown = _make_parser().parse_known_args(argv)
    if unknown:  # said by the command, whose usage helps; argparse has its first parser say it
        args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    with plain_warnings():
        try:
            quiet_imports()
            args.run(args)
            sys.stdout.flush()
            return 0
        except KeyboardInterrupt:
            return _complain(args, "interrupted.", INTERRUPTED)
        except BrokenPipeError:  # whoever read our output has left, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return WORK_FAILED
        except Exception as error:
            if args.debug or os.environ.get("KERAS_SLIM_DEBUG", "0") not in ("", "0"):
                traceback.print_exc()
            return _complain(args, _in_words(error), _exit_code(error))


def _make_parser():
    parser = argparse.ArgumentParser(
        prog="keras-slim",
        description="Makes Keras 3 models small enough for a phone.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers, parents=[common_options()])
    return parser


class _Version(argparse.Action):
    """Prints the version, found only when it is asked for."""

    def __init__(self, option_strings, dest):
        super().__init__(option_strings, dest, nargs=0, help="print the version and leave")

    def __call__(self, parser, *_):
        import keras_slim

        print(f"keras-slim {keras_slim.__version__}")
        parser.exit()


def _complain(args, message, code):
    print(f"keras-slim {args.command}: {message}", file=sys.stderr)
    return code


def _in_words(error):
    if isinstance(error, EXPECTED) and str(error):
        return f"error: {error}"
    return f"unexpected error: {type(error).__name__}: {error}\nRun it again with --debug to see where, and report it."


def _exit_code(error):
    is_wrong_value = isinstance(error, ValueError) and not isinstance(error, FOUND_AT_WORK)
    return BAD_USAGE if is_wrong_value else WORK_FAILED
