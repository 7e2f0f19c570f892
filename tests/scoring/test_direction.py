"""By how much a metric is worse."""

import math

import pytest

from keras_slim.scoring.direction import Direction


@pytest.mark.parametrize(
    ("mode", "before", "value", "drop"),
    [
        ("max", 0.91, 0.9, 0.01),
        ("max", 0.9, 0.91, -0.01),
        ("min", 0.5, 0.75, 0.25),
        ("max", 0.9, math.nan, math.inf),
        ("min", math.nan, math.nan, 0.0),
    ],
)
def test_the_drop_is_how_much_worse_a_value_is(mode, before, value, drop):
    assert Direction(mode, "metric", None, "test").drop(before, value) == drop


@pytest.mark.parametrize(
    ("value", "max_drop", "missing"),
    [(0.9, 0.01, 0.0), (0.88, 0.01, 0.02), (0.95, 0.0, 0.0), (math.nan, 0.5, math.inf)],
)
def test_what_is_missing_is_the_drop_beyond_what_is_allowed(value, max_drop, missing):
    assert Direction("max", "metric", None, "test").missing(0.91, value, max_drop) == missing
