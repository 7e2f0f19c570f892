"""Plain values as YAML or JSON in a file, and back."""

import json
import os
import re

import numpy as np

from keras_slim.errors import invalid_argument, one_of
from keras_slim.validation import check_writable
from keras_slim.whole_files import written_whole

YAML, JSON = (".yaml", ".yml"), (".json",)


def read(path, owner):
    """Returns the plain values in a file.

    Raises:
        ValueError: If there is no such file, it ends otherwise, or cannot be read.
    """
    ending = _ending(path, owner)
    if not os.path.isfile(path):
        raise ValueError(invalid_argument("path", owner, expected="the path of a file", received=os.fspath(path)))
    try:
        with open(path, encoding="utf-8-sig") as file:  # some editors begin a file with a mark
            text = file.read()
        return json.loads(text) if ending in JSON else _from_yaml(text)
    except (ValueError, _yaml().YAMLError) as error:
        kind = "JSON" if ending in JSON else "YAML"
        raise ValueError(f"{os.fspath(path)} cannot be read as {kind}: {error}") from error


def write(path, value, owner) -> None:
    """Writes plain values to a file, whole or not at all.

    Raises:
        ValueError: If no file can be written there, or it ends otherwise.
        TypeError: If something in them is no plain value.
    """
    ending = _ending(path, owner)
    check_writable(path, "path", owner, ending)
    value = plain(value, owner)
    text = json.dumps(value, indent=1) if ending in JSON else _yaml().safe_dump(value, sort_keys=False)
    with written_whole(path, owner, ending) as scratch, open(scratch, "w", encoding="utf-8") as file:
        file.write(text.rstrip("\n") + "\n")


def plain(value, owner):
    """Returns values as a file gives them back: lists for tuples, numbers of Python for those of NumPy.

    Raises:
        TypeError: If something in them is no plain value.
    """
    return json.loads(json.dumps(value, default=lambda other: _number(other, owner)))


def _number(value, owner):
    if isinstance(value, np.generic):
        return value.item()
    expected = "numbers, texts, lists and dictionaries, which can be written to a file"
    raise TypeError(invalid_argument("steps", owner, expected=expected, received=value))


def _ending(path, owner):
    ending = os.path.splitext(os.fspath(path))[1]
    if ending not in (*YAML, *JSON):
        expected = f"a path that ends with {one_of((*YAML, *JSON))}"
        raise ValueError(invalid_argument("path", owner, expected=expected, received=os.fspath(path)))
    return ending


def _yaml():
    import yaml

    return yaml


def _from_yaml(text):
    """Returns what YAML says, a key that comes twice refused, and `1e-3` a number, which PyYAML takes for text."""
    yaml = _yaml()

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node, deep=False):
            keys = [key.value for key, _ in node.value]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice is not None:
                raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is there twice", node.start_mark)
            return super().construct_mapping(node, deep=deep)

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?([0-9]+\.?|[0-9]*\.[0-9]+)[eE][-+]?[0-9]+$"), [*"-+.0123456789"]
    )
    return yaml.load(text, Loader)
