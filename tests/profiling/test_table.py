import keras
import pytest
from keras import layers

from keras_slim.profiling import LayerProfile, ModelProfile, profile
from keras_slim.profiling.table import scaled


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def line(text, word):
    (found,) = [line for line in text.splitlines() if word in line]
    return found.split()


def test_scaled_numbers():
    assert scaled(0) == "0"
    assert scaled(999) == "999"
    assert scaled(1000) == "1 k"
    assert scaled(15_470_264_320) == "15.47 G"
    assert scaled(2_500_000, "B") == "2.5 MB"
    assert scaled(3 * 10**15) == "3000 T"
    assert scaled(0.5, "J") == "500 mJ"
    assert scaled(4.6e-6, "J") == "4.6 µJ"
    assert scaled(1e-15, "J") == "0.001 pJ"


def test_a_line_per_layer_and_the_totals():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(10, name="head"),
        ],
        name="small",
    )
    text = str(profile(model))
    assert text.splitlines()[0] == "Model 'small'"
    conv = ["conv", "(Conv2D)", "(8,", "8,", "4)", "112", "448", "B", "6.912", "k", "6.912", "k", "73.0%"]
    assert line(text, "conv") == conv
    assert line(text, "flat") == ["flat", "(Flatten)", "(256,)"]
    assert line(text, "Total") == ["Total", "2,682", "10.73", "kB", "9.472", "k", "9.472", "k", "100.0%"]


def test_the_energy_of_arithmetic_stands_under_the_table():
    layer = LayerProfile("dense", 1, "Dense", ((None, 3),), 9, 36, 10**6, 10**6, 10**6)
    text = str(ModelProfile("model", (layer,), ()))
    assert "Arithmetic alone, without memory: an estimated 4.6 µJ in float32 or 230 nJ in int8 (45 nm)." in text
    nothing = LayerProfile("flat", 1, "Flatten", ((None, 3),), 0, 0, 0, 0, 0)
    assert "Arithmetic" not in str(ModelProfile("model", (nothing,), ()))


def test_later_calls_are_told_from_the_first():
    a, b, dense = keras.Input((3,)), keras.Input((3,)), layers.Dense(2, name="shared")
    text = str(profile(keras.Model([a, b], [dense(a), dense(b)])))
    assert "shared (Dense)" in text
    assert "shared (Dense, call 2)" in text


def test_unknown_layers_are_marked_and_named_under_the_table():
    layer = LayerProfile("odd", 1, "Odd", ((None, 3),), 9, 36, 0, 0, 0)
    text = str(ModelProfile("model", (layer,), ("odd",)))
    assert line(text, "(Odd)") == ["odd", "(Odd)", "(3,)", "9", "36", "B", "?", "?", "?"]
    assert "Operations not counted, for want of a rule: odd." in text
    assert "register_work" in text


def test_names_are_printed_as_they_are():
    layer = LayerProfile("[bold]odd[/bold]", 1, "Odd", ((None, 3),), 0, 0, 0, 0, 0)
    assert "[bold]odd[/bold]" in str(ModelProfile("[red]", (layer,), ("[blue]",)))


@pytest.mark.parametrize("width", [60, 100, 140])
def test_no_line_is_wider_than_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    names = ["a_layer_with_quite_a_long_name_" * 3, "short"]
    cost = tuple(LayerProfile(name, 1, "Dense", ((None, 3),), 10, 40, 6, 6, 6) for name in names)
    assert max(map(len, str(ModelProfile("model", cost, ())).splitlines())) <= width
