"""`keras-slim prune`: a model with fewer units."""

import json

from keras_slim.cli.arguments import (
    SAMPLES,
    add_command,
    add_data_option,
    add_json_option,
    add_output_option,
    count,
    path_ending_with,
    share,
    share_or_one,
)
from keras_slim.cli.files import check_output, load_model, load_samples, write_text
from keras_slim.whole_files import written_whole

COSTS = ("units", "params", "macs", "bytes", "latency")

DETAILS = f"""\
The units of the whole network stand in one ranking; the lowest go. The result is a plain Keras model with fewer units.
Its weights are cut, not retrained: fine-tune it before use, or prune inside `fit` with
keras_slim.callbacks.ProgressiveGlobalPruning, which costs the least accuracy.

bytes and latency are those of the float32 LiteRT file, exported and measured on this machine several times.

Criteria that look at data (taylor, fisher, mean_activation, std_activation, apoz, redundancy, product, oracle) and the
de-biasing "fitted" take samples, of which some hundreds will do. taylor, fisher, product, oracle and fitted also need
their targets and the name of the loss.

{SAMPLES}
examples:
  keras-slim prune model.keras --ratio 0.5 -o small.keras
  keras-slim prune model.keras --ratio 0.6 --of macs --criterion taylor --data data.npz \\
      --loss sparse_categorical_crossentropy -o small.keras
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    parser = add_command(subparsers, parents, "prune", "Remove the units that contribute least", DETAILS, run)
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    parser.add_argument("--ratio", type=share, required=True, metavar="R", help="share to remove, between 0 and 1")
    add_output_option(parser, ".keras")
    parser.add_argument("--of", choices=COSTS, default="units", help="what the ratio is a share of (default units)")
    scores = parser.add_argument_group("scores")
    scores.add_argument("--criterion", default="l2", metavar="NAME", help="how much a unit contributes (default l2)")
    scores.add_argument("--debias", default="l2", metavar="NAME", help="what makes layers comparable (default l2)")
    add_data_option(scores, "for scores that look at data")
    scores.add_argument("--loss", metavar="NAME", help="loss to follow back, for taylor and the like")
    guards = parser.add_argument_group("guards")
    guards.add_argument("--align", type=count, metavar="N", help="round kept units up to a multiple of N (default 8)")
    guards.add_argument("--min-units", type=count, metavar="N", help="fewest units a layer keeps (default 4)")
    guards.add_argument("--max-ratio", type=share_or_one, metavar="R", help="most a layer loses (default 0.9)")
    guards.add_argument("--ignore", action="append", default=[], metavar="NAME", help="leave a layer whole; repeatable")
    parser.add_argument(
        "--plan-json", type=path_ending_with(".json"), metavar="FILE.json", help="also write which units are kept"
    )
    add_json_option(parser)


def run(args):
    """Writes the smaller model, and prints what was removed."""
    from keras_slim.pruning import shrink

    for path in filter(None, (args.output, args.plan_json)):
        check_output(path)
    model = load_model(args.model)
    plan = _make_plan(args, model)
    with written_whole(args.output) as scratch:
        shrink(model, plan).save(scratch)
    if args.plan_json:
        write_text(args.plan_json, plan.to_json())
    print(_as_json(args, plan) if args.json else f"{plan.describe()}\nWrote {args.output}")


def _make_plan(args, model):
    from keras_slim.pruning import Guards, plan_pruning
    from keras_slim.scoring import criteria, debiasers

    criterion = criteria.get(args.criterion, "criterion", "keras-slim prune")
    debias = debiasers.get(args.debias, "debias", "keras-slim prune")
    data = _read_data(args, model, {"--criterion": criterion, "--debias": debias})
    if args.loss:
        model.compile(loss=args.loss)
    given = {"align": args.align, "min_units": args.min_units, "max_ratio": args.max_ratio}
    return plan_pruning(
        model,
        args.ratio,
        of=args.of,
        criterion=criterion,
        debias=debias,
        data=data,
        guards=Guards(**{name: value for name, value in given.items() if value is not None}),
        ignore=args.ignore,
    )


def _read_data(args, model, members):
    """Returns what the criterion and the de-biasing look at, or raises in the words of the command line."""
    needs = {f"{option} {member.alias}": member.needs for option, member in members.items()}
    needy = [words for words, need in needs.items() if need != "nothing"]
    if not needy:
        return None
    if args.data is None:
        raise ValueError(f"{needy[0]} looks at data. Give it with --data PATH. See --help.")
    x, y = load_samples(args.data, model, args.pixels)
    supervised = next((words for words in needy if needs[words] == "targets"), None)
    if supervised is None:
        return x
    if y is None:
        raise ValueError(f"{supervised} needs targets, and {args.data} has none. See --help.")
    if args.loss is None:
        raise ValueError(
            f"{supervised} follows the loss back. Name it with --loss, such as --loss sparse_categorical_crossentropy."
        )
    return x, y


def _as_json(args, plan):
    return json.dumps({"output": args.output, "plan": json.loads(plan.to_json())}, indent=1)
