"""Deep Compression: how small a file with a network becomes, stage by stage, and what that costs in error."""

import argparse
import dataclasses
import itertools

import charts
import deep_compression_stages as stages
import numpy as np
from cells import cell, measured_before
from deep_compression_stages import SETTINGS, TASKS
from matplotlib import pyplot, ticker
from results_file import mean_and_range, write

STARTS = {"dense": "-", "structured": "--", "TFMOT": ":"}  # and how their lines are drawn
DRAWN = {"pruned": "C0", "3 bits": "C1", "2 bits": "C2", "3 bits and biases": "C3"}
SMALL = 2  # the level from which on biases share values too
COLUMNS = [
    *("start", "weights left", "stage", "seeds", "bytes", "times smaller"),
    *("test error, %", "validation error, %", "gzip"),
]
STAGE_COLUMNS = ["stage", "bytes", "times smaller", "test error, %"]


def wanted(tasks, options):
    """Yields network, start, seed, level, and whether biases share values too, of everything to measure."""
    seeds = range(options.seeds) if options.only_seed is None else [options.only_seed]
    for name in options.networks:
        for seed in seeds:
            for kind in options.starts:
                if kind == "dense":
                    yield name, kind, seed, "dense", False
                    if tasks[name].paper:
                        yield name, kind, seed, "paper", False
                if kind != "TFMOT" or tasks[name].goal:
                    levels = range(len(tasks[name].levels[: options.levels]))
                    yield from ((name, kind, seed, level, False) for level in levels)
                    if kind != "TFMOT":
                        yield from ((name, kind, seed, level, True) for level in levels if level >= SMALL)


def label(name, kind, seed, level, biases):
    return f"{name}-{kind}-{seed}-{level}{'-biases' if biases else ''}"


def measure(name, kind, seed, level, biases, tasks, options):
    """Returns what each stage of a level weighs, and how often it errs; `None` if it is not to be measured now."""
    task, cell_name = tasks[name], label(name, kind, seed, level, biases)
    if options.as_is:
        return measured_before("deep_compression", cell_name, task.settings)

    def examine():
        data = task.load(options.data_dir, train=task.images)
        if kind == "TFMOT":
            return stages.examine_tfmot(options.tfmot_python, name, seed, level, data, task, options.data_dir)
        return stages.examine(name, kind, seed, level, data, task, biases)

    return cell("deep_compression", cell_name, task.settings, examine)


def files(name, cells):
    """Yields each kind of file of a network: start, level, stage, and what was found for each seed."""
    for kind, level, biases in {(kind, *how): None for network, kind, _, *how in cells if network == name}:
        runs = [
            found for (*each, _, at, too), found in cells.items() if (*each, at, too) == (name, kind, level, biases)
        ]
        for stage in runs[0]:
            yield kind, level, stage, [run[stage] for run in runs]


def share_left(task, level):
    if level == "paper":
        return "the paper's"
    return "all" if level == "dense" else f"{100 * task.levels[level]:.1f} %"


def ratios(task, runs, of="bytes"):
    return [task.dense_bytes / run[of] for run in runs]


def row(task, kind, level, stage, runs):
    """Returns a row of the table: ratio, error, and what gzip makes of the same weights."""
    return [
        kind,
        share_left(task, level),
        stage,
        len(runs),
        f"{np.mean([run['bytes'] for run in runs]):,.0f}",
        mean_and_range(ratios(task, runs), 1),
        mean_and_range([run["test"] for run in runs]),
        mean_and_range([run["validation"] for run in runs]),
        f"{np.mean(ratios(task, runs, 'gzip')):.1f}",
    ]


def stage_by_stage(name, task, found, seeds):
    """Yields rows of what each stage adds, of the paper's settings: the file before and after entropy coding."""
    _, bits = task.paper
    bits_of = bits.get if isinstance(bits, dict) else lambda layer: bits
    models = [stages.sparse(name, "dense", seed, "paper", train=None, task=task) for seed in seeds]
    coded = {(level, stage): runs for kind, level, stage, runs in found if kind == "dense"}
    sizes = {
        "float32 weights": [task.dense_bytes] * len(seeds),
        "pruned: distances, and weights of 32 bits": [stages.uncoded_bytes(model) for model in models],
        "shared: distances, codes, codebooks": [stages.uncoded_bytes(model, bits_of) for model in models],
        "coded: the whole file": [run["bytes"] for run in coded["paper", "paper"]],
    }
    errors = {
        "float32 weights": coded["dense", "dense"],
        "pruned: distances, and weights of 32 bits": coded["paper", "pruned"],
        "coded: the whole file": coded["paper", "paper"],
    }
    for stage, taken in sizes.items():
        error = mean_and_range([run["test"] for run in errors[stage]]) if stage in errors else ""
        yield [stage, f"{np.mean(taken):,.0f}", mean_and_range([task.dense_bytes / size for size in taken], 1), error]


def draw(found, tasks):
    """Draws error over ratio, a colour for each stage and a kind of line for each start."""
    figure, panels = pyplot.subplots(1, len(found), figsize=(4 * len(found), 3.6), squeeze=False)
    lines = {}
    for axes, (name, kinds) in zip(panels[0], found.items(), strict=True):
        task = tasks[name]
        for kind, stage in itertools.product(STARTS, DRAWN):
            points = [
                runs for k, level, s, runs in kinds if (k, s) == (kind, stage) and level not in ("dense", "paper")
            ]
            points = [[(task.dense_bytes / run["bytes"], run["test"]) for run in runs] for runs in points]
            if points:
                charts.curve(axes, points, f"{stage}, {kind}", color=DRAWN[stage], linestyle=STARTS[kind])
        for _, level, stage, runs in kinds:
            if stage in ("dense", "paper"):
                point = np.mean([(task.dense_bytes / run["bytes"], run["test"]) for run in runs], axis=0)
                label = "dense" if level == "dense" else "the paper's settings"
                axes.plot(*point, {"dense": "ks", "paper": "k*"}[stage], label=label)
        axes.set(title=name, xlabel="times smaller", xscale="log")
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        if task.goal:
            ratio, most = task.goal
            axes.axhline(most, color="0.6", linewidth=0.8, linestyle="--")
            axes.axvline(ratio, color="0.6", linewidth=0.8, linestyle="--")
            axes.set_ylim(top=min(2.5 * most, axes.get_ylim()[1]))
        lines |= {label: line for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    panels[0, 0].set_ylabel("test error, %")
    figure.legend(
        lines.values(),
        lines,
        frameon=False,
        fontsize=7,
        ncols=3,
        handlelength=4,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.02),
    )
    charts.save(figure, "deep_compression.svg")


def verdict(name, task, found):
    """Returns in words what the method came to. Test error chooses nothing, and nothing of fewer seeds is chosen."""
    ratio, most = task.goal
    told = f"{name}, asked: {ratio} times smaller at a test error of {most:.2f} % at most; chosen by validation error. "
    for start in [kind for kind in STARTS if kind != "TFMOT"]:
        seeds = max((len(runs) for kind, *_, runs in found if kind == start), default=0)
        small = [
            (level, stage, runs)
            for kind, level, stage, runs in found
            if kind == start and len(runs) == seeds and np.mean(ratios(task, runs)) >= ratio
        ]
        if small:
            level, stage, runs = min(small, key=lambda each: np.mean([run["validation"] for run in each[2]]))
            told += (
                f"{start.capitalize()} start ({share_left(task, level)} of the weights, {stage}; seeds: {seeds}): "
                f"{mean_and_range(ratios(task, runs), 1)} times at {mean_and_range([run['test'] for run in runs])} %. "
            )
    return told


def trained(name, task):
    return (
        f"{name}: {task.images:,} images moved by up to {task.moved[0]} pixels, {task.dense_epochs} epochs dense, "
        f"{task.epochs} for each level of pruning, {task.sharing_epochs} with shared values. "
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", help="folder with mnist.npz and cifar10.npz; without it Keras downloads them")
    for key in SETTINGS:
        parser.add_argument(f"--{key.replace('_', '-')}", type=int, help="instead of the network's own")
    parser.add_argument("--networks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=["dense", "structured"])
    parser.add_argument("--tfmot-python", help="interpreter that has tensorflow-model-optimization and tf_keras")
    parser.add_argument("--levels", type=int, help="prune to the first so many levels")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only-seed", type=int, help="measure this seed alone, and write no table")
    parser.add_argument("--as-is", action="store_true", help="measure nothing more, and write what there is")
    options = parser.parse_args()
    if "TFMOT" in options.starts and not (options.tfmot_python or options.as_is):
        parser.error("--starts TFMOT needs --tfmot-python")
    changes = {key: getattr(options, key) for key in SETTINGS if getattr(options, key) is not None}
    tasks = {name: dataclasses.replace(TASKS[name], **changes) for name in options.networks}
    cells = {one: measure(*one, tasks, options) for one in wanted(tasks, options)}
    cells = {one: found for one, found in cells.items() if found}
    if options.only_seed is not None:
        return
    found = {name: list(files(name, cells)) for name in tasks}
    found = {name: kinds for name, kinds in found.items() if kinds}
    draw(found, tasks)
    tables = []
    for name, kinds in found.items():
        seeds = [seed for network, _, seed, level, _ in cells if (network, level) == (name, "paper")]
        if seeds:
            rows = list(stage_by_stage(name, tasks[name], kinds, seeds))
            tables.append((f"{name}, stage by stage, with the paper's settings", STAGE_COLUMNS, rows))
        tables.append((name, COLUMNS, [row(tasks[name], *each) for each in kinds]))
    write(
        "deep_compression",
        "Deep Compression",
        tables,
        "".join(verdict(name, tasks[name], kinds) for name, kinds in found.items() if tasks[name].goal)
        + "\n\n"
        + "".join(trained(name, tasks[name]) for name in found)
        + "Adam along a cosine; each level of pruning is global and goes on from the level before. Bytes are those of "
        "the whole file, biases as float16; errors are those of the model that came back from it. *Times smaller* is "
        "against the float32 weights of the dense network; *and biases*: these share 16 values in each layer too. "
        "*gzip* is the ratio for the same float32 weights gzipped. "
        "The *structured* start has 40 % of the parameters of the dense network cut as whole neurons first. *TFMOT* is "
        "TensorFlow Model Optimization 0.8 in legacy Keras: pruned to the same share of weights in every layer, then "
        "clustered with zeros kept, as many epochs; *gzip* is how it measures itself, *bytes* is our file with its "
        "weights. Mean (range). Han et al. (2016) have 40 times at 1.58 % for LeNet-300-100 and 39 times at 0.74 % "
        "for LeNet-5.",
        {label(*one): value for one, value in cells.items()},
    )


if __name__ == "__main__":
    main()
