import keras
import pytest
from keras import layers

from keras_slim.profiling import LayerProfile, ModelProfile, profile


def bars(axes):
    """Lengths of the bars by the name on the left."""
    names = [label.get_text() for label in axes.figure.axes[0].get_yticklabels()]
    return dict(zip(names, [bar.get_width() for bar in axes.patches], strict=True))


def test_shares_of_parameters_and_of_macs():
    dense = layers.Dense(6, name="dense")
    left, right = keras.Input((6,)), keras.Input((6,))
    both = layers.Add(name="sum")([dense(left), dense(right)])
    model = keras.Model([left, right], layers.Dense(2, name="head")(both))
    parameters, macs = profile(model).plot().axes
    assert bars(parameters) == pytest.approx({"dense": 42 / 56, "head": 14 / 56})
    assert bars(macs) == pytest.approx({"dense": 72 / 84, "head": 12 / 84})  # two calls are one bar
    assert parameters.get_title(loc="left") == "Share of 56 parameters"
    assert macs.get_title(loc="left") == "Share of 84 multiply-accumulates"
    assert [text.get_text() for text in macs.texts] == ["85.7%", "14.3%"]


def test_of_many_layers_the_largest_in_their_order():
    cost = tuple(LayerProfile(f"layer_{i}", 1, "Dense", ((None, 3),), i, 4 * i, i, i, i) for i in range(45))
    figure = ModelProfile("deep", cost, ()).plot()
    assert list(bars(figure.axes[0])) == [f"layer_{i}" for i in range(5, 45)]
    assert figure.get_supxlabel() == "4 more layers, none of them larger, are not shown"  # layer_0 has nothing


def test_small_shares_have_an_axis_of_different_numbers():
    cost = tuple(LayerProfile(f"layer_{i}", 1, "Dense", ((None, 3),), 5, 20, 5, 5, 5) for i in range(200))
    figure = ModelProfile("deep", cost, ()).plot()
    figure.draw_without_rendering()
    for axes in figure.axes:
        labels = [label.get_text() for label in axes.get_xticklabels()]
        assert len(set(labels)) == len(labels) > 2
        assert "0.2%" in labels


def test_a_model_of_nothing_is_refused():
    with pytest.raises(ValueError, match="'flat' has neither weights nor operations"):
        ModelProfile("flat", (LayerProfile("relu", 1, "ReLU", ((None, 3),), 0, 0, 0, 0, 0),), ()).plot()
