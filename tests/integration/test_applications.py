"""Whole models of `keras.applications`: the check that `benchmarks/applications.py` makes of all forty, on a few."""

import importlib.util
import pathlib
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def applications(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("applications", BENCHMARKS / "applications.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("results_file", None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ConvNeXtTiny", "EfficientNetV2B0", "MobileNetV3Small", "NASNetMobile"])
def test_the_law_holds(applications, name):
    assert applications.verdict(applications.examine(name)) == []
