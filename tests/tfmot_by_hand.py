"""What the other process tells of a model, written by hand, and an interpreter that tells it."""

import json

import numpy as np


class Described:
    """Layers of `tf_keras` and their numbers, as `old_process.py` describes them."""

    def __init__(self):
        self.arrays, self.layers, self.entries = [], {}, []

    def add(self, value):
        self.arrays.append(np.asarray(value))
        return len(self.arrays) - 1

    def weight(self, name, value, **more):
        return {"name": name, "value": self.add(value), **{key: _told(self, each) for key, each in more.items()}}

    def layer(self, kind, name, *nodes, weights=(), places=(), module="keras.layers", **config):
        """Adds a layer, called once for each node, a list of names of layers."""
        entry = entry_of(kind, name, module, **config)
        entry["inbound_nodes"] = [[[each, 0, 0, {}] for each in node] for node in nodes]
        self.entries.append(entry)
        self.layers[f"/{name}"] = {"weights": list(weights), "places": list(places)}
        return entry

    def functional(self, inputs, outputs, name="net"):
        config = {"name": name, "layers": self.entries}
        config["input_layers"], config["output_layers"] = (
            [[each, 0, 0] for each in side] for side in (inputs, outputs)
        )
        return {"class_name": "Functional", "config": config}

    def sequential(self, name="net"):
        return {"class_name": "Sequential", "config": {"name": name, "layers": self.entries}}


def _told(described, value):
    return value if isinstance(value, bool) else described.add(value)


def entry_of(kind, name, module="keras.layers", **config):
    return {"class_name": kind, "module": module, "name": name, "config": {"name": name, "dtype": "float32", **config}}


def input_of(*shape, name="x", dtype="float32"):
    config = {"batch_input_shape": [None, *shape], "sparse": False, "ragged": False, "name": name, "dtype": dtype}
    return {"class_name": "InputLayer", "module": "keras.layers", "name": name, "config": config, "inbound_nodes": []}


def interpreter(folder, answer=None, arrays=()):
    """Returns the path of a program that answers so, in place of a Python that has TFMOT; with nothing, it fails."""
    program = folder / "python"
    lines = ["#!/bin/sh", "echo it went wrong"]
    if answer is not None:
        (folder / "answer.json").write_text(json.dumps(answer))
        np.savez(folder / "arrays.npz", **{str(number): array for number, array in enumerate(arrays)})
        lines = ["#!/bin/sh", f'cp "{folder}/answer.json" "{folder}/arrays.npz" "$(dirname "$3")"']
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)
    return str(program)
