"""Options that several commands share, and the types of their values."""

import argparse

from keras_slim.validation import check_count, check_share

SAMPLES = """\
Samples are the arrays `x` and, where targets are needed, `y` of a .npz file: numpy.savez("data.npz", x=x, y=y); `x_0`,
`x_1`, ... for several inputs, `y_0`, `y_1`, ... for several outputs. Or a .npy file, one array without targets. Or a
folder of images, with a folder for each class in it where targets are needed: they are resized, and --pixels says what
black and white are for the model, unless it takes 0 to 255.
"""


def common_options():
    """Returns a parser of the options that every command has."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--debug", action="store_true", help="show where an error comes from")
    return options


def add_command(subparsers, parents, name, summary, details, run):
    """Adds the parser of a command.

    Args:
        subparsers: Where to add it.
        parents: Parsers of the options it shares with others.
        name: Name of the command.
        summary: What it does, one line.
        details: What else to know, and an example, as it stands at the end of its help.
        run: Function that runs it, given the parsed arguments.

    Returns:
        The parser.
    """
    parser = subparsers.add_parser(
        name,
        parents=parents,
        help=summary,
        description=f"{summary}.",
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_json_option(parser):
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_output_option(parser, *suffixes):
    """Adds `-o`, `--output`: the file to write, which ends with one of `suffixes`."""
    parser.add_argument(
        "-o",
        "--output",
        type=path_ending_with(*suffixes),
        required=True,
        metavar=f"FILE{suffixes[0]}",
        help="the file to write",
    )


def add_data_option(parser, use, required=False):
    """Adds `--data` and `--pixels`, which `files.load_samples` reads; `use` tells what the samples are for."""
    parser.add_argument("--data", required=required, metavar="PATH", help=f"{use}: a .npz, a .npy or images")
    parser.add_argument(
        "--pixels",
        nargs=2,
        type=float,
        default=(0.0, 255.0),
        metavar=("BLACK", "WHITE"),
        help="numbers for black and white in a folder of images (default 0 255)",
    )


def add_signature_option(parser):
    """Adds `--signature`."""
    parser.add_argument("--signature", metavar="NAME", help="the one that is meant, where the file has several")


def add_limit_option(parser):
    """Adds `--max-bytes`, which `limits` reads."""
    parser.add_argument(
        "--max-bytes", type=count, metavar="N", help="most bytes the weights may have in memory (default 1 GiB)"
    )


def limits(args):
    """Returns what `add_limit_option` was given as keyword arguments of the functions that read compressed models."""
    return {} if args.max_bytes is None else {"max_bytes": args.max_bytes}


def share(text):
    """Returns a number in (0, 1), or raises what argparse words as bad usage."""
    return _checked(check_share, text, float)


def share_or_one(text):
    """Returns a number in (0, 1]."""
    return _checked(lambda value, *names: check_share(value, *names, one=True), text, float)


def count(text):
    """Returns an integer of at least 1."""
    return _checked(check_count, text, int)


def seed(text):
    """Returns an integer of at least 0."""
    return _checked(lambda value, *names: check_count(value, *names, minimum=0), text, int)


def port(text):
    """Returns an integer from 0 to 65535."""
    number = seed(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"expected a port, an integer up to 65535, received {text}")
    return number


def path_ending_with(*suffixes):
    """Returns the type of a path with one of these endings."""

    def path(text):
        if not text.endswith(suffixes):
            raise argparse.ArgumentTypeError(
                f"expected a path that ends with {' or '.join(suffixes)}, received {text!r}"
            )
        return text

    return path


def _checked(check, text, number):
    try:
        return check(number(text), "value", "option")
    except ValueError as error:
        raise argparse.ArgumentTypeError(_expectation(error, text)) from None


def _expectation(error, text):
    """Returns what was expected, out of a message worded by `invalid_argument`."""
    _, found, rest = str(error).partition("Expected ")
    expected, _, hint = rest.partition(". Received: ")
    if not found:
        return f"expected a number, received {text!r}"
    _, _, advice = hint.partition(". ")
    return " ".join(filter(None, (f"expected {expected}, received {text}.", advice)))
