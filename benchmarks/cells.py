"""What a long benchmark measures once: started again after an interruption, it goes on where it stopped."""

import json
import re

import calibration
import keras
import networks
from results_file import FOLDER


def cell(benchmark, name, settings, measure, *arguments):
    """Returns what `measure(*arguments)` returned, now or in an earlier run with the same settings.

    Args:
        benchmark: Name of the benchmark.
        name: Name of the cell.
        settings: Dictionary of everything that the numbers depend on; a cell of other settings is measured again.
        measure: Function that returns plain values.
        *arguments: Its arguments.
    """
    found = measured_before(benchmark, name, settings)
    if found is not None:
        return found
    print(f"{benchmark}: {name} ...", flush=True)
    measured = measure(*arguments)
    path = _path(benchmark, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_text(json.dumps({"settings": settings, "measured": measured}, indent=1) + "\n")
    half.replace(path)
    return json.loads(path.read_text())["measured"]


def measured_before(benchmark, name, settings):
    """Returns what an earlier run measured with the same settings, or `None`."""
    path = _path(benchmark, name)
    kept = json.loads(path.read_text()) if path.exists() else {}
    return kept.get("measured") if kept.get("settings") == json.loads(json.dumps(settings)) else None


def _path(benchmark, name):
    return FOLDER / benchmark / (re.sub(r"\W+", "-", name) + ".json")


def kept_network(name, make):
    """Returns the network that `make()` returned, now or in an earlier run, not compiled.

    Args:
        name: Name of its file, with everything that it depends on.
        make: Function without arguments that returns a trained network.
    """
    path = network_path(name)
    if not path.exists():
        print(f"training {name} ...", flush=True)
        half = path.with_suffix(".part.keras")
        make().save(half)
        half.replace(path)
    return keras.models.load_model(path, compile=False)


def network_path(name):
    """Returns the path of a kept network, in a folder that is there; what is no word in its name becomes a hyphen."""
    folder = FOLDER / "networks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / (re.sub(r"\W+", "-", name) + ".keras")


def dense_network(seed, samples, epochs, classes="all"):
    """Returns the sequential network, trained before any cut; it is trained once and shared by the benchmarks.

    Args:
        seed: Seed of its weights and of the order of the samples.
        samples: `(x, y)` to train with.
        epochs: Number of epochs.
        classes: What the samples show, part of a file name.
    """
    name = f"sequential-{classes}-{len(samples[0])}-{epochs}-{seed}"
    return networks.compiled(kept_network(name, lambda: calibration.train("sequential", seed, samples, epochs)), 1e-3)
