"""Which modules another process imports before it loads a model, those of programs and notebooks too."""

import importlib
import os
import sys
import types
import warnings

import keras
import pytest

from keras_slim.errors import ExportError
from keras_slim.export.own_modules import OwnModule, own_modules
from keras_slim.layers import QuantDense
from keras_slim.tensorflow_process import OutdatedError

GUARDED = """
import keras

class Layer(keras.layers.Layer):
    def call(self, inputs):
        return inputs

if __name__ == "__main__":
    raise SystemExit("it ran")
"""


def squared(x):
    return x * x


@keras.saving.register_keras_serializable("tests", name="cube")
def cubed(x):
    return x * x * x


def modules_of(*layers):
    model = keras.Sequential([keras.Input((4,)), *layers])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
        return own_modules(model, keras.saving.serialize_keras_object(model))


@pytest.fixture
def program(monkeypatch):
    """Makes a layer of a program that runs from a file, or of a notebook without one."""

    def make(path=None, spec=None):
        module = types.ModuleType("__main__")
        module.__spec__ = spec
        if path is not None:
            module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, "__main__", module)
        return type("Layer", (keras.layers.Layer,), {"__module__": "__main__", "call": lambda self, inputs: inputs})()

    return make


def test_layers_of_keras_need_none():
    assert modules_of(keras.layers.Dense(2, activation="relu"), keras.layers.LayerNormalization()) == []


def test_registered_and_other_functions_and_layers_are_found():
    layers = keras.layers.Dense(2, activation=squared), keras.layers.Activation(cubed), QuantDense(2)
    found = {module.name: module for module in modules_of(*layers)}
    assert found[__name__].objects == {"squared": "squared", "tests>cube": "cubed"}
    assert found[__name__].path == os.path.abspath(__file__)
    assert found[__name__].load() == {"squared": squared, "tests>cube": cubed}
    assert found.pop("keras_slim.layers.quant_dense").load() == {"keras_slim>QuantDense": QuantDense}
    assert set(found) == {__name__}


def test_a_program_with_a_guard_is_imported_not_run(program, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(GUARDED, encoding="utf-8")
    (module,) = modules_of(program(path))
    loaded = module.load()
    assert module.name == "__imported_main__"
    assert loaded["Layer"]()(keras.ops.ones((1, 2))).shape == (1, 2)
    assert sys.modules.pop("__imported_main__").Layer is loaded["Layer"]


def test_a_program_run_as_a_module_has_its_name(program, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(GUARDED, encoding="utf-8")
    (module,) = modules_of(program(path, types.SimpleNamespace(name="package.program")))
    assert (module.name, module.path) == ("package.program", str(path))


def test_a_program_that_would_run_is_refused(program, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(GUARDED.partition("if __name__")[0], encoding="utf-8")
    with pytest.raises(ExportError, match=r"\['Layer'\], defined in the program.*program.py.*or put what.*__main__"):
        modules_of(program(path))


def test_a_notebook_is_refused(program):
    with pytest.raises(ExportError, match="in a notebook or a console.*Move them to a file of their own, and import"):
        modules_of(program())


def test_a_lambda_that_reads_what_is_around_it_is_refused():
    assert modules_of(keras.layers.Lambda(lambda x: 2 * abs(x))) == []
    with pytest.raises(ExportError, match=r"A `lambda` in the model reads \['squared'\].*Expected a function, `def`"):
        modules_of(keras.layers.Lambda(lambda x: squared(x)))


def test_a_module_that_cannot_be_imported_is_told(tmp_path):
    path = tmp_path / "broken_here.py"
    path.write_text("import no_such_package_anywhere", encoding="utf-8")
    with pytest.raises(ExportError, match="'broken_here' cannot be imported.*'no_such_package_anywhere'.*Move what"):
        OwnModule("broken_here", str(path), 1.0, {"Layer": "Layer"}).load()
    assert "broken_here" not in sys.modules
    with pytest.raises(ExportError, match="'nowhere_at_all' cannot be imported"):
        OwnModule("nowhere_at_all", "", 1.0, {"Layer": "Layer"}).load()


def test_a_module_that_has_changed_needs_another_process(tmp_path, monkeypatch):
    path = tmp_path / "changes_later.py"
    path.write_text("class Layer: pass", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    before = OwnModule("changes_later", str(path), 1.0, {"Layer": "Layer"})
    assert before.load() == {"Layer": importlib.import_module("changes_later").Layer}
    assert before.load()
    with pytest.raises(OutdatedError):
        OwnModule("changes_later", str(path), 2.0, {"Layer": "Layer"}).load()
