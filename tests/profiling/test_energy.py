import pytest

from keras_slim.profiling import LayerProfile, ModelProfile, arithmetic_energy


def test_operations_are_weighed_by_the_published_table():
    """Horowitz 2014, 45 nm, picojoules."""
    assert arithmetic_energy(1_000_000, 0) == pytest.approx(3.7)
    assert arithmetic_energy(0, 1_000_000) == pytest.approx(0.9)
    assert arithmetic_energy(2_000_000, 3_000_000, "float16") == pytest.approx(2 * 1.1 + 3 * 0.4)
    assert arithmetic_energy(2_000_000, 3_000_000, "int32") == pytest.approx(2 * 3.1 + 3 * 0.1)
    assert arithmetic_energy(2_000_000, 3_000_000, "int8") == pytest.approx(2 * 0.2 + 3 * 0.03)


def test_nothing_takes_nothing():
    assert arithmetic_energy(0, 0) == 0


def test_that_of_a_model_is_that_of_its_layers():
    layers = [
        LayerProfile(name, 1, "Dense", ((None, 3),), 0, 0, 6, *counts) for name, *counts in (("a", 5, 6), ("b", 0, 9))
    ]
    cost = ModelProfile("model", tuple(layers), ())
    assert cost.energy() == pytest.approx((5 * 3.7 + 15 * 0.9) / 1e6)
    assert cost.to_dict()["energy"] == {
        precision: cost.energy(precision) for precision in ("float32", "float16", "int32", "int8")
    }


def test_an_unknown_precision_is_refused():
    with pytest.raises(
        ValueError, match="Expected one of 'float32', .*Received: precision='float23'. Did you mean 'float32'"
    ):
        arithmetic_energy(1, 1, "float23")
