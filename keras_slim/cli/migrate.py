"""`keras-slim migrate`: a plain Keras 3 model from one that was trained with TFMOT."""

import argparse
import json

from keras_slim.cli.arguments import add_command, add_json_option, path_ending_with
from keras_slim.cli.files import check_output, load_samples
from keras_slim.whole_files import written_whole

KINDS = ("pruning", "clustering", "quantization")

DETAILS = """\
Reads what `model.save` of tf_keras wrote: a .h5 or .keras file, or the folder of a SavedModel, with TFMOT's wrappers or
stripped of them. TFMOT and tf_keras run in a process of their own: pip install 'keras_slim[tfmot]', or name the Python
of the environment that has them by --python.

The new model is plain. Both answer the same samples, random ones without --data, and the largest difference is printed.
If they do not answer alike, nothing is written.

--keep names what goes on, with commas between:
  pruning       also writes NEW.masks.npz, for keras_slim.callbacks.HoldMasks
  clustering    also writes NEW.codes.npz, which weights share a value, and prints the bits to train on with
  quantization  the model rounds as it did, with layers of keras_slim; without it, weights stay as they were rounded,
                and activations are rounded no more

examples:
  keras-slim migrate old.h5 new.keras
  keras-slim migrate old.h5 -o new.keras --keep pruning,quantization --data data.npz
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Turn a model trained with TFMOT into a plain Keras 3 model"
    parser = add_command(subparsers, parents, "migrate", summary, DETAILS, run)
    parser.add_argument("model", metavar="OLD", help="a .h5 or .keras file of tf_keras, or the folder of a SavedModel")
    output = parser.add_mutually_exclusive_group(required=True)
    output.add_argument("new", nargs="?", type=path_ending_with(".keras"), metavar="NEW.keras", help="as --output")
    output.add_argument(
        "-o", "--output", type=path_ending_with(".keras"), metavar="NEW.keras", help="the file to write"
    )
    parser.add_argument("--keep", type=_kinds, default=(), metavar="KINDS", help=f"some of {','.join(KINDS)}")
    parser.add_argument("--data", metavar="FILE", help="samples to compare the answers on: a .npz or .npy file")
    parser.add_argument("--tolerance", type=float, metavar="DB", help="least signal-to-error ratio, in decibels")
    parser.add_argument("--python", metavar="PATH", help="a Python interpreter that has TFMOT")
    add_json_option(parser)


def run(args):
    """Writes the new model, and prints what became of the old one."""
    from keras_slim.migration import migrate

    output = args.output or args.new
    stem = output.removesuffix(".keras")
    beside = {kind: f"{stem}.{name}.npz" for kind, name in zip(KINDS, ("masks", "codes"), strict=False)}
    paths = [output, *(path for kind, path in beside.items() if kind in args.keep)]
    for path in paths:
        check_output(path)
    x = load_samples(args.data)[0] if args.data else None
    found = migrate(args.model, x, args.keep, tolerance=args.tolerance, python=args.python)
    with written_whole(output) as scratch:
        found.model.save(scratch)
    for kind, held in zip(KINDS, (found.masks, found.codes), strict=False):
        if held is not None:
            held.save(beside[kind])
    print(json.dumps(found.to_dict(), indent=1) if args.json else _in_words(found, paths))


def _in_words(found, paths):
    lines = [found.describe()]
    if found.masks is not None:
        lines.append(f"Hold the zeros: HoldMasks(Masks.load({paths[1]!r}))")
    if found.bits:
        lines.append(f"Train the shared values: WeightSharing(bits={found.bits})")
    return "\n".join([*lines, *(f"Wrote {path}" for path in paths)])


def _kinds(text):
    kinds = tuple(filter(None, text.split(",")))
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong or not kinds:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(KINDS)}, received {text!r}")
    return kinds
