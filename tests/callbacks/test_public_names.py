"""What `help` shows of a callback, beside what it shows of any: what users need, and no plumbing."""

import inspect
import re

import keras
import pytest

import keras_slim as slim

MADE_OF = {
    "LotteryTicket": {"rounds": 1},
    "ProgressiveGlobalPruning": {"ratio": 0.5},
    "StructuredLotteryTicket": {"rounds": 1},
    "Summaries": {"log_dir": "logs"},
}
CONFIG = {"get_config", "from_config"}


def documented(callback):
    """The names that a docstring tells of below "Args" and "Attributes"."""
    sections = re.findall(r"^(?:Args|Attributes):\n((?:    .*\n|\n)*)", inspect.getdoc(callback), re.MULTILINE)
    return {name for section in sections for name in re.findall(r"^    (\w+):", section, re.MULTILINE)}


def public(callback):
    return {name for name in dir(callback) if not name.startswith("_")} - set(dir(keras.callbacks.Callback()))


@pytest.mark.parametrize("name", slim.callbacks.__all__)
def test_public_names_are_those_that_are_documented(name):
    callback = getattr(slim.callbacks, name)(**MADE_OF.get(name, {}))
    assert public(callback) <= documented(type(callback)) | CONFIG


@pytest.mark.parametrize("name", slim.callbacks.__all__)
def test_documented_attributes_are_there(name):
    callback = getattr(slim.callbacks, name)(**MADE_OF.get(name, {}))
    assert documented(type(callback)) - set(inspect.signature(type(callback)).parameters) <= public(callback)
