"""`keras-slim compress-model`: all steps of a recipe, done to a model."""

import argparse
import importlib.resources
import json

from keras_slim.cli.arguments import SAMPLES, add_command, add_data_option, add_json_option, path_ending_with
from keras_slim.cli.files import load_model, load_samples

ENDINGS = ".yaml", ".yml", ".json"
LAST_PART = 5
"""One sample of this many, the last ones, are kept for the metric where a recipe trains and has no others for it."""

DETAILS = f"""\
The recipe says what is done to which layers, in which order: prune, factorize, sparsify, share, quantize, fine_tune,
export, compress. It is checked before any work begins. --example prints one to begin with.

The folder gets model.keras, the files of the steps export and compress, the recipe, and a report as JSON and as text:
all of them, or nothing, if something fails. Where the recipe has a max_drop that cannot be kept, the message says by
how much it misses, and the exit code is 1. `keras-slim report` makes a page of what is in the folder.

{SAMPLES}The metric is measured on the samples of --validation; without them, on the last fifth of --data, which is then
not trained on, or on all of them where nothing is trained.

examples:
  keras-slim compress-model --example > recipe.yaml
  keras-slim compress-model model.keras --recipe recipe.yaml --data data.npz -o small
  keras-slim report model.keras small/model.keras --file small/model.tflite --data data.npz -o small/report.html
"""


def add_parser(subparsers, parents):
    """Adds the command to the command line."""
    summary = "Do all that a recipe says to a model"
    parser = add_command(subparsers, parents, "compress-model", summary, DETAILS, run)
    parser.add_argument("model", metavar="MODEL", help="a .keras file")
    parser.add_argument(
        "--recipe", type=path_ending_with(*ENDINGS), required=True, metavar="FILE", help="a .yaml or .json file"
    )
    add_data_option(parser, "samples to look at and to train on")
    parser.add_argument("--validation", metavar="PATH", help="samples with targets that the metric is measured on")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="the folder to write")
    parser.add_argument("--example", action=_Example, help="print a recipe to begin with and leave")
    add_json_option(parser)


class _Example(argparse.Action):
    """Prints a recipe with comments."""

    def __init__(self, option_strings, dest, help):
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser, *_):
        print((importlib.resources.files("keras_slim") / "recipes" / "example.yaml").read_text("utf-8"), end="")
        parser.exit()


def run(args):
    """Writes the folder, and prints what each step did."""
    import keras

    from keras_slim.recipes import Recipe

    recipe = Recipe.from_file(args.recipe)
    model = _load(args.model, recipe)
    data, validation = (_samples(path, model, args.pixels) for path in (args.data, args.validation))
    trains = any(step.num_epochs for step in recipe.steps)
    if trains and validation is None and data is not None and len(data) > 1:
        data, validation = _divided(data)
        if not args.json:
            count = len(keras.tree.flatten(validation)[0])
            print(f"The last {count:,} samples of {args.data} are for the metric, and are not trained on.", flush=True)
    result = recipe.apply(model, data, validation, folder=args.output, verbose=int(not args.json))
    if args.json:
        print(json.dumps(result.to_dict(), indent=1, default=str))
    else:
        print(f"{result}\nWrote {', '.join(result.files)} into {args.output}")


def _samples(path, model, pixels):
    """Returns the samples in a file as `fit` takes them, `None` without a path."""
    if path is None:
        return None
    x, y = load_samples(path, model, pixels)
    return (x,) if y is None else (x, y)


def _load(path, recipe):
    """Returns the model, compiled as in its file where the recipe does not say how."""
    import keras

    from keras_slim.errors import first_sentence

    model = load_model(path)
    if recipe.compile is not None:
        return model
    try:
        return keras.saving.load_model(path, safe_mode=True)
    except Exception as error:
        raise ValueError(
            f"{path} cannot be loaded as it was compiled: {first_sentence(error).rstrip('. ')}. Expected a loss and "
            "metrics of Keras. Say in the recipe how it is compiled: `compile: {optimizer: adam, loss: mse}`."
        ) from error


def _divided(data):
    """Returns samples without the last part, and that part."""
    import keras

    count = len(keras.tree.flatten(data)[0])
    first = count - max(1, count // LAST_PART)
    trained_on = keras.tree.map_structure(lambda each: each[:first], data)
    return trained_on, keras.tree.map_structure(lambda each: each[first:], data)
