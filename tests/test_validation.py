import fractions
import math
import os
import pathlib

import numpy as np
import pytest

from keras_slim import validation
from keras_slim.errors import MissingExtraError


def check_share(value, **ends):
    return validation.check_share(value, "ratio", "prune", **ends)


def test_a_number_is_a_float_that_is_not_negative():
    assert validation.check_number(1, "max_drop", "prune") == 1.0
    assert validation.check_number(0, "max_drop", "prune") == 0
    for value in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"`max_drop` of `prune`.*finite number of at least 0"):
            validation.check_number(value, "max_drop", "prune")
    for value in (True, "0.1", None):
        with pytest.raises(TypeError, match=r"`max_drop`.*finite number"):
            validation.check_number(value, "max_drop", "prune")


def test_a_positive_number_is_a_float_above_zero():
    assert validation.check_positive(1, "ridge", "prune") == 1.0
    for value in (0, -0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"`ridge` of `prune`.*finite number > 0"):
            validation.check_positive(value, "ridge", "prune")
    for value in (True, "0.1", None):
        with pytest.raises(TypeError, match=r"`ridge`.*finite number > 0"):
            validation.check_positive(value, "ridge", "prune")


def check_count(value, **limits):
    return validation.check_count(value, "rounds", "prune", **limits)


def check_writable(path):
    return validation.check_writable(path, "path", "export_tflite")


def test_a_choice_passes():
    assert validation.check_choice(None, "quantize", "export_tflite", (None, "int8")) is None
    assert validation.check_choice("int8", "quantize", "export_tflite", (None, "int8")) == "int8"


@pytest.mark.parametrize("value", ["in8", "x", "", 8, [], {}])
def test_another_choice_is_refused(value):
    with pytest.raises(ValueError, match=r"`quantize` of `export_tflite`. Expected one of None, 'int8'") as caught:
        validation.check_choice(value, "quantize", "export_tflite", (None, "int8"))
    assert ("Did you mean 'int8'?" in str(caught.value)) == (value == "in8")


def test_an_array_is_refused_like_any_other_choice():
    with pytest.raises(ValueError, match="Expected one of"):
        validation.check_choice(np.array(["int8", "float16"]), "quantize", "export_tflite", (None, "int8"))


@pytest.mark.parametrize("value", [0.5, np.float32(0.25), fractions.Fraction(1, 3), 1e-9])
def test_a_share_comes_back_as_a_float(value):
    assert type(check_share(value)) is float
    assert check_share(value) == float(value)


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.1, 60, math.nan, math.inf])
def test_a_share_outside_the_interval_is_refused(value):
    with pytest.raises(ValueError, match=r"`ratio` of `prune`. Expected a share in \(0, 1\)"):
        check_share(value)


@pytest.mark.parametrize("value", ["0.5", None, True, [0.5], 1j])
def test_what_is_no_number_is_no_share(value):
    with pytest.raises(TypeError, match="Expected a share"):
        check_share(value)


def test_the_ends_are_allowed_on_request():
    assert check_share(0, zero=True) == 0.0
    assert check_share(1, one=True) == 1.0
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        check_share(1, zero=True)
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        check_share(0, one=True)


def test_a_percentage_gets_a_hint():
    with pytest.raises(ValueError, match=r"For 60 per cent, give 0\.6\."):
        check_share(60)


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_a_count_comes_back_as_an_int(value):
    assert type(check_count(value)) is int
    assert check_count(value) == value


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)])
def test_what_is_no_count_is_refused(value, error):
    with pytest.raises(error, match=r"`rounds` of `prune`\. Expected an integer of at least 1"):
        check_count(value)


def test_the_minimum_of_a_count():
    assert check_count(0, minimum=0) == 0
    with pytest.raises(ValueError, match="at least 2"):
        check_count(1, minimum=2)


@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_a_writable_path_comes_back_absolute(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_writable(kind("model.tflite")) == str(tmp_path / "model.tflite")
    assert os.listdir(tmp_path) == []


def test_an_existing_file_may_be_overwritten(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")
    assert check_writable(path) == str(path)
    assert path.read_bytes() == b"old"


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Create it first: .*nowhere"):
        check_writable(tmp_path / "nowhere" / "model.tflite")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="A folder of that name exists"):
        check_writable(tmp_path)


def test_a_read_only_place_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="read-only"):
        check_writable(tmp_path / "model.tflite")


def test_an_installed_extra_is_imported():
    assert validation.import_extra("json.decoder", extra="phone", feature="Drawing").__name__ == "json.decoder"


def test_a_missing_extra_is_named_with_the_way_to_get_it():
    with pytest.raises(MissingExtraError) as caught:
        validation.import_extra("no_such_package.pyplot", extra="phone", feature="Drawing")
    assert str(caught.value) == (
        "Drawing needs the package 'no_such_package', which is not installed. "
        "Install it with: pip install 'keras_slim[phone]'"
    )
