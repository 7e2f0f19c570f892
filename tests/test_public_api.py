"""Every public name exists, explains itself and is in the documentation; importing keras_slim stays cheap."""

import builtins
import importlib
import inspect
import pathlib
import pkgutil
import re
import subprocess
import sys

import keras
import pytest

import keras_slim

API = pathlib.Path(__file__).parents[1] / "docs" / "api"
LATE = (
    "matplotlib",
    "keras_tuner",
    "tensorflow_model_optimization",
    "tflite_micro",
    "segno",
    "cryptography",
    "tensorly",
)

PACKAGES = sorted(name for _, name, is_package in pkgutil.iter_modules(keras_slim.__path__) if is_package)
PUBLIC = [name for name in PACKAGES if name != "cli"]


def public_names():
    modules = ("keras_slim", *(f"keras_slim.{name}" for name in PUBLIC))
    return [(module, name) for module in modules for name in getattr(importlib.import_module(module), "__all__", ())]


@pytest.mark.parametrize("package", PUBLIC)
def test_a_package_says_what_is_public(package):
    names = importlib.import_module(f"keras_slim.{package}").__all__
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("module", "name"), public_names())
def test_a_public_name_exists_and_explains_itself(module, name):
    if name.startswith("__"):
        return
    thing = getattr(importlib.import_module(module), name)
    text = inspect.getdoc(thing)
    assert text, f"{module}.{name} has no docstring"
    assert inspect.ismodule(thing) or len(text.splitlines()[0]) <= 80, "Its first line has at most 80 characters."


@pytest.mark.parametrize("package", PUBLIC)
def test_a_package_is_documented(package):
    page = API / f"{package}.md"
    assert page.is_file(), f"Write docs/api/{package}.md, like its neighbours."
    assert f"automodule:: keras_slim.{package}\n" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", dir(keras_slim))
def test_the_front_door_is_documented(name):
    text = (API / "index.md").read_text(encoding="utf-8")
    assert re.search(rf"`(slim\.)?{re.escape(name)}`", text), f"Add `slim.{name}` to the table in docs/api/index.md."


def test_all_names_hide_no_name_of_python_and_one_that_would_is_there_all_the_same():
    assert not {*keras_slim.__all__} & {*vars(builtins)}
    assert {*dir(keras_slim)} - {*keras_slim.__all__} == {"hash"}
    assert keras_slim.hash is keras_slim.rewriting.hash


def test_importing_keras_slim_after_keras_makes_files_loadable_and_imports_no_optional_or_slow_package(tmp_path):
    layers = [keras_slim.layers.AdderDense(2), keras_slim.layers.QuantDense(2, kernel_quantizer="int")]
    keras.Sequential([keras.Input((3,)), *layers]).save(tmp_path / "model.keras")
    # Keras itself imports matplotlib where it finds it.
    code = (
        "import sys, keras; before = set(sys.modules); import keras_slim; "
        f"print([name for name in {LATE!r} if name in set(sys.modules) - before]); "
        f"keras.models.load_model({str(tmp_path / 'model.keras')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
