"""What every registered schedule promises."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_slim.schedules import Schedule, schedules

NAMES = schedules.names()
PROGRESS = st.floats(0, 1)


def of(name):
    return schedules.get(name, "schedule", "contract")


@pytest.mark.parametrize("name", NAMES)
@given(progress=PROGRESS)
def test_the_way_is_a_share(name, progress):
    assert 0 <= of(name)(progress) <= 1


@pytest.mark.parametrize("name", NAMES)
@given(one=PROGRESS, other=PROGRESS)
def test_it_never_goes_back(name, one, other):
    assert of(name)(min(one, other)) <= of(name)(max(one, other))


@pytest.mark.parametrize("name", NAMES)
def test_it_arrives_exactly(name):
    assert of(name)(1.0) == 1
    assert of(name)(1) == 1


@pytest.mark.parametrize("name", [name for name in NAMES if name != "constant"])
def test_it_sets_out_from_the_beginning(name):
    assert of(name)(0.0) == 0


@pytest.mark.parametrize("name", NAMES)
def test_string_class_instance_and_dictionary_mean_the_same(name):
    for identifier in (type(of(name)), of(name), schedules.serialize(of(name))):
        assert of(identifier)(0.3) == of(name)(0.3)


@pytest.mark.parametrize("name", NAMES)
def test_config_survives_json(name):
    written = json.dumps(schedules.serialize(of(name)))
    again = schedules.deserialize(json.loads(written), "schedule", "contract")
    assert type(again) is type(of(name))
    assert vars(again) == vars(of(name))


def test_a_users_class_and_function_are_taken():
    class Late(Schedule):
        def __call__(self, progress):
            return progress**2

    for member in (Late, Late(), lambda progress: progress**2):
        assert of(member)(0.5) == 0.25
    assert of(math.sqrt)(0.25) == 0.5


def test_a_schedule_must_say_how_it_goes():
    class Nothing(Schedule):
        pass

    with pytest.raises(TypeError, match="abstract"):
        of(Nothing)
