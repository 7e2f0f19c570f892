"""`keras-slim report`: a model and its smaller self from all sides, as a page, a model card or data."""

from keras_slim.cli.arguments import SAMPLES, add_command, add_data_option, add_json_option, path_ending_with
from keras_slim.cli.files import check_file, check_output, load_model, load_samples

DETAILS = f"""\
Measures sizes, accuracy, how files agree with their models, and milliseconds on this machine. The ending of --output
says what is written: .html for a page that holds its pictures and needs no network, .md for a model card, .json for the
data. Several may be asked for: repeat --output.

{SAMPLES}
example:
  keras-slim report before.keras after.keras --data data.npz --file small.tflite -o report.html
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Write a page on a model and its smaller self"
    parser = add_command(subparsers, parents, "report", summary, DETAILS, run)
    parser.add_argument("before", metavar="BEFORE", help="the .keras file of the model before")
    parser.add_argument("after", metavar="AFTER", help="that of the smaller model")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        action="append",
        type=path_ending_with(".html", ".md", ".json"),
        metavar="PATH",
        help="what to write; repeatable",
    )
    add_data_option(parser, "samples to measure on, with targets for metrics")
    parser.add_argument("--file", action="append", default=[], metavar="FILE", help="a .tflite file of it; repeatable")
    parser.add_argument(
        "--file-before", action="append", default=[], metavar="FILE", help="a .tflite file of BEFORE; repeatable"
    )
    parser.add_argument(
        "--metric",
        action="append",
        metavar="NAME",
        help="a metric (default accuracy, or mae for real numbers); repeatable",
    )
    parser.add_argument(
        "--plan-json",
        type=path_ending_with(".json"),
        metavar="FILE.json",
        help="what `prune --plan-json` wrote, for what was left",
    )
    add_json_option(parser)


def run(args):
    """Writes the report, and prints its table."""
    for path in args.output:
        check_output(path)
    for path in (args.before, args.after):
        check_file(path, "a model")
    for path in (*args.file, *args.file_before):
        check_file(path, "a LiteRT file")

    from keras_slim.pruning import PruningPlan
    from keras_slim.reports import report

    found = report(
        args.before,
        args.after,
        _data(args),
        files={"before": args.file_before, "after": args.file},
        metrics=args.metric,
        made_by=[PruningPlan.from_json(_text(args.plan_json))] if args.plan_json else (),
    )
    for path in args.output:
        found.write(path)
    print(found.to_json() if args.json else f"{found}\n\nWritten to {', '.join(args.output)}")


def _data(args):
    """Returns samples with targets, or inputs alone where the file has no others."""
    if args.data is None:
        return None
    x, y = load_samples(args.data, load_model(args.after), args.pixels)
    return x if y is None else (x, y)


def _text(path):
    check_file(path, "a pruning plan")
    with open(path, encoding="utf-8") as file:
        return file.read()
