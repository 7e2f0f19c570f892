"""Holds the house in order: imports point down, private and heavy imports stay where they belong."""

import ast
import functools
import graphlib
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "keras_slim"

# A room imports only rooms of a lower number. Profiling reads a model through `graph`, so it stands half a step above.
# So does sharing, above the weights that sparsity finds and holds, and above lowrank, which fits kernels to data.
# Callbacks show the pictures of reports while a model trains, so reports stand below them.
# Export tells what a model weighs and takes as a file, so it stands below pruning, which asks before it decides, and
# above rewriting, which leaves layers real so that a metric holds. A phone runs what was exported. A recipe calls the
# verbs of all of them, and may ask for a report. The front door, `keras_slim/__init__.py`, shows every room but the
# command line.
RANKS = {
    "errors": 0,
    "validation": 0,
    "identifiers": 0,
    "held": 0,
    "in_memory": 0,
    "likeness": 0,
    "remaking": 0,
    "own_state": 0,
    "versions": 0,
    "whole_files": 1,
    "tensorflow_process": 1,
    "progress_display": 1,
    "plain_text": 1,
    "plain_values": 1,
    "drawing": 1,
    "schedules": 1,
    "datasets": 1,
    "kernels": 1,
    "quantizers": 1,
    "optimizer_slots": 1,
    "distribution": 1,
    "reinitialization": 1,
    "coding": 1,
    "factorization": 1,
    "layers": 2,
    "models": 3,
    "graph": 3,
    "profiling": 3.5,
    "scoring": 4,
    "rewriting": 4.2,
    "export": 4.5,
    "phone": 4.7,
    "pruning": 5,
    "sparsity": 5,
    "compression": 5,
    "sharing": 5.6,
    "migration": 6,
    "lowrank": 5.5,
    "distillation": 5,
    "reports": 5.7,
    "callbacks": 6,
    "recipes": 7.2,
    "tuning": 7,
    "": 7.5,
    "cli": 8,
    "__main__": 9,
}
# Within rank 0, messages come first: checks and registries word their complaints with them.
WITHIN_RANK_0 = {
    ("validation", "errors"),
    ("identifiers", "errors"),
    ("held", "errors"),
    ("in_memory", "held"),
    ("likeness", "held"),
    ("likeness", "in_memory"),
    ("remaking", "errors"),
    ("remaking", "held"),
    ("remaking", "in_memory"),
    ("remaking", "likeness"),
    ("own_state", "held"),
    ("own_state", "likeness"),
    ("versions", "errors"),
}

MAY_IMPORT_TENSORFLOW = (
    "export/",
    "distribution.py",
    "kernels/backends.py",
    "scoring/gradients/on_tensorflow.py",
    "callbacks/garbage.py",
    "callbacks/event_file.py",
    "migration/old_process.py",
)
MAY_READ_NODES = ("graph/nodes.py",)
PRIVATE_MODULES = ("keras.src", "tensorflow.python")
MAY_IMPORT_PRIVATE = ("compression/late_weights.py", "graph/masks.py")
PRIVATE_NODES = {"_inbound_nodes", "_outbound_nodes", "_nodes", "_nodes_by_depth", "_keras_history"}
LATE = {
    "matplotlib",
    "keras_tuner",
    "tensorflow_model_optimization",
    "tflite_micro",
    "segno",
    "cryptography",
    "tensorly",
}


@functools.cache
def trees():
    """The syntax tree of each file, by its path below the package."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def module_name(path):
    return ".".join(("keras_slim", *path.removesuffix(".py").split("/"))).removesuffix(".__init__")


def room(module):
    """The room a module of the package belongs to; the front door's is the empty string."""
    return ".".join(module.split(".")[1:2])


def imported(node):
    """The names an import statement loads; of `from a import b`, `a.b`, which may or may not be a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    return []


def imports(tree):
    """Every import of a file with its line, those inside functions too."""
    return [(name, node.lineno) for node in ast.walk(tree) for name in imported(node)]


def imports_at_once(node):
    """The imports that run when the file itself is imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from ((name, child.lineno) for name in imported(child))
            yield from imports_at_once(child)


def begins_with(name, *modules):
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def to_module(name):
    """The module of the package that an imported name is, or is in."""
    modules = {module_name(path) for path in trees()}
    return name if name in modules else name.rpartition(".")[0]


def own_imports(path):
    """The modules of the package that a file imports, with lines."""
    return [(to_module(name), line) for name, line in imports(trees()[path]) if begins_with(name, "keras_slim")]


@pytest.mark.parametrize("name", sorted({room(module_name(path)) for path in trees()}))
def test_every_room_has_a_rank(name):
    assert name in RANKS, f"Give keras_slim/{name} a rank in RANKS of {__file__}, and a line in the design."


def test_imports_point_down():
    wrong = []
    for path in trees():
        here = room(module_name(path))
        for module, line in own_imports(path):
            there = room(module)
            if there != here and RANKS[there] >= RANKS[here] and (here, there) not in WITHIN_RANK_0:
                wrong.append(f"{path}:{line} imports {module}: {RANKS[here]} must not import {RANKS[there]}")
    assert wrong == []


def test_no_module_imports_itself_through_others():
    graph = {}
    for path in trees():
        module = module_name(path)
        graph[module] = {other for other, _ in own_imports(path)} - {module}
    graphlib.TopologicalSorter(graph).prepare()


def test_imports_are_absolute():
    wrong = [f"{path}:{line}" for path, tree in trees().items() for name, line in imports(tree) if name[0] == "."]
    assert wrong == []


def test_private_modules_are_imported_in_one_file():
    wrong = [
        f"{path}:{line} imports {name}"
        for path, tree in trees().items()
        for name, line in imports(tree)
        if begins_with(name, *PRIVATE_MODULES) and path not in MAY_IMPORT_PRIVATE
    ]
    wrong += [
        f"{path}:{node.lineno} reads {ast.unparse(node)}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in (*PRIVATE_MODULES, "tf.python")
    ]
    assert wrong == []


def test_private_nodes_are_read_in_one_file():
    wrong = [
        f"{path}:{node.lineno} reads {node.attr}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in PRIVATE_NODES and not path.startswith(MAY_READ_NODES)
    ]
    assert wrong == []


def test_tensorflow_is_imported_where_it_is_the_point():
    wrong = [
        f"{path}:{line}"
        for path, tree in trees().items()
        for name, line in imports(tree)
        if begins_with(name, "tensorflow") and not path.startswith(MAY_IMPORT_TENSORFLOW)
    ]
    assert wrong == []


def test_optional_and_slow_packages_are_imported_late():
    wrong = [
        f"{path}:{line} imports {name}"
        for path, tree in trees().items()
        for name, line in imports_at_once(tree)
        if begins_with(name, *LATE)
    ]
    assert wrong == []
