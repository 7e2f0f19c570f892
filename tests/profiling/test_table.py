import keras
import pytest
from keras import layers

from keras_slim.layers import AdderDense
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
    assert line(text, "Layer") == ["Layer", "Output", "shape", "Parameters", "MACs", "%", "of", "MACs"]
    assert line(text, "conv (") == ["conv", "(Conv2D)", "(8,", "8,", "4)", "112", "6.912", "k", "73.0%"]
    assert line(text, "Total") == ["Total", "2,682", "9.472", "k", "100.0%"]
    assert "2,682 parameters take 10.73 kB; one sample takes 9.472 k multiply-accumulates (MACs)." in text
    assert "flat" not in text
    assert "Not shown: 1 layer that counts nothing." in text
    whole = profile(model).table(all_layers=True)
    assert line(whole, "flat") == ["flat", "(Flatten)", "(256,)"]
    assert "Not shown" not in whole
    assert len(whole.splitlines()) == len(text.splitlines())  # a line more, and a note less


def test_a_model_that_also_adds_has_a_column_for_either():
    stack = [layers.Dense(5, name="first"), AdderDense(7, name="adder")]
    text = str(profile(keras.Sequential([keras.Input((3,)), *stack])))
    assert line(text, "Layer")[4:] == ["Mult.", "Add.", "%", "of", "MACs"]
    assert line(text, "first (") == ["first", "(Dense)", "(5,)", "20", "15", "15", "30.0%"]
    assert line(text, "adder (")[3:] == ["42", "0", "70", "70.0%"]  # 35 uses, each a difference and a sum
    assert "50 multiply-accumulates (MACs), or what stands in" in text


def test_long_names_are_whole():
    name = "encoder_of_pictures/block_16_normalization"
    cost = ModelProfile("model", (LayerProfile(name, 1, "BatchNormalization", ((None, 3),), 9, 36, 0, 0, 0),), ())
    assert line(str(cost), "encoder")[0] == name


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
    assert line(text, "(Odd)") == ["odd", "(Odd)", "(3,)", "9", "?", "?"]
    assert "Operations not counted, for want of a rule: odd." in text
    assert "register_work" in text


def test_names_are_printed_as_they_are():
    layer = LayerProfile("[bold]odd[/bold]", 1, "Odd", ((None, 3),), 9, 36, 0, 0, 0)
    assert "[bold]odd[/bold]" in str(ModelProfile("[red]", (layer,), ("[blue]",)))


@pytest.mark.parametrize("width", [60, 100, 140])
def test_no_line_is_wider_than_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    names = ["a_layer_with_quite_a_long_name_" * 3, "short"]
    cost = tuple(LayerProfile(name, 1, "Dense", ((None, 3),), 10, 40, 6, 6, 6) for name in names)
    assert max(map(len, str(ModelProfile("model", cost, ())).splitlines())) <= width
