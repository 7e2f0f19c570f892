import numpy as np
import pytest

from keras_slim import schedules


def of(identifier):
    return schedules.schedules.get(identifier, "schedule", "GradualPruning")


@pytest.mark.parametrize(
    ("name", "at_quarters"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [0, 0.25, 0.5, 0.75, 1]),
        ("cubic", [0, 1 - 27 / 64, 1 - 1 / 8, 1 - 1 / 64, 1]),
        ("polynomial", [0, 1 - 27 / 64, 1 - 1 / 8, 1 - 1 / 64, 1]),
        ("cosine", [0, (1 - 2**-0.5) / 2, 0.5, (1 + 2**-0.5) / 2, 1]),
    ],
)
def test_the_way_at_quarters_of_the_time(name, at_quarters):
    np.testing.assert_allclose([of(name)(quarter / 4) for quarter in range(5)], at_quarters, atol=1e-15)


@pytest.mark.parametrize(("power", "way"), [(1, 0.25), (2, 1 - 9 / 16), (0.5, 1 - 0.75**0.5)])
def test_a_polynomial_has_a_power(power, way):
    schedule = schedules.Polynomial(power)
    assert schedule(0.25) == pytest.approx(way)
    assert of(schedules.schedules.serialize(schedule)).power == power


@pytest.mark.parametrize("power", [0, -1, float("nan"), float("inf")])
def test_a_power_is_above_0(power):
    with pytest.raises(ValueError, match="`power` of `Polynomial`"):
        schedules.Polynomial(power)


def test_a_name_that_is_not_known_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"`schedule` of `GradualPruning`.*'cosine', 'cubic'.*Did you mean 'cubic'\?"):
        of("cubik")
    with pytest.raises(TypeError, match="`schedule` of `GradualPruning`"):
        of(3)


def test_a_function_must_arrive():
    def half(progress):
        return progress / 2

    with pytest.raises(ValueError, match=r"`half` is no schedule.*to return 1 at progress 1.*Received: 0\.5"):
        of(half)


def test_a_function_must_stay_on_the_way():
    def over(progress):
        return 1 + progress * (1 - progress)

    with pytest.raises(ValueError, match=r"`over` is no schedule.*a share in \[0, 1\] at progress 0\.1.*1\.09"):
        of(over)
    with pytest.raises(ValueError, match=r"at progress 0\.55"):
        of(lambda progress: progress if progress in {tenth / 10 for tenth in range(11)} else 2.0)(0.55)
    with pytest.raises(ValueError, match="to return a share"):
        of(lambda progress: float("nan"))


def test_an_error_of_rounding_is_not_held_against_a_function():
    assert of(lambda progress: progress + 1e-9)(1.0) == 1


def test_a_function_cannot_be_written_down():
    with pytest.raises(ValueError, match="This schedule cannot be written down"):
        schedules.schedules.serialize(of(lambda progress: progress))
