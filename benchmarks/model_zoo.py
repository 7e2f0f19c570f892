"""How much can be pruned in networks that nobody here wrote, and whether what is pruned obeys the laws.

Needs `pip install keras-hub kimm` beside keras_slim.
"""

import argparse
import gc
import importlib.metadata
import re
import warnings

import keras
import numpy as np
from results_file import write
from zoo_builds import keras_hub_models, kimm_models

import keras_slim as slim
from keras_slim.graph import analyse
from keras_slim.graph.closed import why_closed

LENGTH = 12
"""Of what a network leaves open."""

LOOSE = slim.pruning.Guards(min_units=1, align=1, max_ratio=0.9)


def share(graph):
    """Returns the share of a network's weights that go away with units that may go."""
    stays = {}
    for slot in graph.slots:
        is_cut = np.asarray(slot.units) >= 0
        stays[id(slot.variable)] = stays.get(id(slot.variable), 1.0) * (1 - is_cut.mean())
    sizes = {id(weight): int(np.prod(weight.shape)) for weight in graph.model.weights}
    return sum(size * (1 - stays.get(key, 1.0)) for key, size in sizes.items()) / sum(sizes.values())


def with_head(model):
    """Returns a network with a dense layer on each output, as a task has; the outputs of a backbone must stay."""
    outputs = [keras.layers.Dense(2, name=f"head_{n}")(each) for n, each in enumerate(keras.tree.flatten(model.output))]
    return keras.Model(model.input, outputs, name=model.name)


def draw(model, rng):
    """Gives each weight values that are all different and keep the scale of what goes through."""
    for weight in model.weights:
        if "float" not in weight.dtype:
            continue
        if len(weight.shape) > 1:
            fan_in = np.prod(weight.shape[:-1] if weight.shape[-1] > 1 else weight.shape[:-2])
            weight.assign(rng.normal(0, np.sqrt(2 / fan_in), weight.shape))
        elif any(name in weight.path.rpartition("/")[2] for name in ("gamma", "scale", "variance")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        else:
            weight.assign(rng.normal(0, 0.1, weight.shape))


def batch_of(model, rng):
    """Returns two samples, as the network takes them: random floats, ones for whole numbers."""

    def sample(tensor):
        shape = [2, *(size or LENGTH for size in tensor.shape[1:])]
        return rng.normal(size=shape).astype("float32") if "float" in tensor.dtype else np.ones(shape, tensor.dtype)

    return keras.tree.map_structure(sample, model.input)


def difference(first, second):
    """Returns the largest difference of two answers, as a share of the largest number in one."""
    pairs = zip(*(keras.tree.flatten(each) for each in (first, second)), strict=True)
    pairs = [[np.asarray(keras.ops.cast(each, "float32")) for each in pair] for pair in pairs]
    return max(float(np.abs(one - two).max() / max(np.abs(one).max(), 1e-30)) for one, two in pairs)


def laws(model, twin, graph, x, ratio):
    """Returns how far copies of a network are from it with nothing cut, and masked from cut."""
    found = {"same": difference(model(x), slim.shrink(twin, slim.plan_pruning(twin, 0))(x))}
    if graph.num_units:
        plan = slim.plan_pruning(twin, ratio, criterion="random", debias="none", guards=LOOSE)
        small = slim.shrink(twin, plan)
        found["cut"] = difference(slim.mask(twin, plan)(x), small(x))
        found["removed"] = 1 - small.count_params() / twin.count_params()
    return found


def measure(build, head, ratio):
    """Returns what is found out about one network."""
    keras.backend.clear_session()
    gc.collect()
    keras.utils.set_random_seed(0)
    plain = build()
    model = with_head(plain) if head else plain
    rng = np.random.default_rng(0)
    draw(model, rng)
    x = batch_of(model, rng)
    found = {"parameters": model.count_params(), "unopened": share(analyse(model))}
    twin = slim.functional(model, inputs=x)
    graph = analyse(twin)
    found["opened"] = share(graph)
    if head:
        found["as it is"] = share(analyse(slim.functional(plain, inputs=x)))
    try:
        found |= laws(model, twin, graph, x, ratio)
    except slim.errors.UnsupportedLayerError as error:
        found["refused"] = slim.errors.first_sentence(error)
    reasons = {reason.split(" (")[0] for whole in graph.whole for reason in whole.reasons}
    why = {found.get("refused", ""), *map(why_closed, plain._flatten_layers())} - {""}
    passed_on = ("tied to channels that are never cut", "its units are a model output")
    found["why"] = sorted(_without_folders(each) for each in why or reasons.difference(passed_on))
    return found


def _without_folders(text):
    return re.sub(r"(?<=\()/\S*/", "", text)


def row(name, found):
    if "error" in found:
        return [name, "", "", "", "", "", "", found["error"]]
    shares = [f"{found[key]:.2f}" if key in found else "" for key in ("unopened", "as it is", "opened")]
    laws = [f"{found[key]:.0e}" if key in found else "" for key in ("same", "cut")]
    why = "; ".join(found["why"])
    return [name, f"{found['parameters']:,}", *shares, *laws, why[:160]]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only networks with this in their name")
    parser.add_argument("--ratio", type=float, default=0.3, help="share of the units that the cut removes")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    measured, tables = {}, []
    for library, models, head in (("keras-hub", keras_hub_models, True), ("kimm", kimm_models, False)):
        found = {}
        for name, build in models().items():
            if options.only in name:
                try:
                    found[name] = measure(build, head, options.ratio)
                except Exception as error:
                    found[name] = {"error": f"{type(error).__name__}: {slim.errors.first_sentence(error)}"[:160]}
                print(*row(name, found[name]), sep=" | ", flush=True)
        built = [each for each in found.values() if "opened" in each]
        means = [f"{np.mean([each[key] for each in built]):.3f}" for key in ("unopened", "opened")] if built else []
        columns = [
            "network",
            "parameters",
            "unopened",
            "opened, as it is",
            "opened",
            "nothing cut",
            "cut",
            "why not all",
        ]
        title = (
            f"{library} {importlib.metadata.version(library)}: mean share {' -> '.join(means)}, {len(built)} networks"
        )
        tables.append((title, columns, [row(name, each) for name, each in found.items()]))
        measured[library] = found
    note = (
        "Small configurations, random weights and inputs, seed 0. Share of the weights that go away with units that "
        "may go, before layers are opened and after. A backbone of keras-hub has a dense layer on each of its outputs "
        "here, as a task has; *as it is*, its outputs must stay. *Nothing cut*: largest difference of the network and "
        f"its copy without a cut, *cut*: of the masked and the smaller network, {options.ratio:.0%} of the units gone "
        "at random; both as a share of the largest number. Networks with an error in the last column count nowhere."
    )
    write("model_zoo", "Networks that nobody here wrote", tables, note, measured)


if __name__ == "__main__":
    main()
