import keras
import pytest

from keras_slim.reports import plot_pruning, plot_report, plot_widths
from keras_slim.reports.pictures import widths

HISTORY = {
    "val_accuracy": [0.2, 0.8, 0.9, 0.85, 0.95],
    "loss": [2.0, 1.0, 0.5, 0.6, 0.3],
    "macs": [2e6, 2e6, 2e6, 1e6, 1e6],
}
ROUNDS = [{"epoch": 3, "macs": 1_000_000}]


def network(width, name="first"):
    inside = keras.Sequential([keras.Input((width,)), keras.layers.Dense(width, name="inner")], name="inside")
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(width, name=name), inside, keras.layers.ReLU()])


def titles(figure):
    return [axes.get_title(loc="left") for axes in figure.axes]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_bar_for_each_layer_with_units():
    (axes,) = plot_widths(network(16), network(6)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "inside/inner"]
    assert texts(axes) == ["6 of 16", "6 of 16"]
    assert [bar.get_width() for bar in axes.patches] == [16, 16, 6, 6]


def test_inner_models_may_have_layers_of_one_name():
    given = keras.Input((4,))
    parts = [
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(width, name="wide"), keras.layers.Dense(3)], name=name)
        for name, width in (("left", 8), ("right", 16))
    ]
    model = keras.Model(given, [part(given) for part in parts])
    found = widths(model)
    assert (found["left/wide"], found["right/wide"]) == (8, 16)


def test_models_without_a_common_layer_are_refused():
    small = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="other")])
    with pytest.raises(ValueError, match=r"`after` of `plot_widths`.*\['first', 'inside/inner'\].*\['other'\]"):
        plot_widths(network(8), small)


def test_accuracy_and_size_over_the_epochs():
    upper, lower = plot_pruning(HISTORY, ROUNDS, dense_history={"val_accuracy": [0.2, 0.8, 0.9, 0.9, 0.97]}).axes
    assert titles(upper.figure) == ["Validation accuracy", "Multiply-accumulates: 2 M to 1 M"]
    pruned, dense, mark = upper.lines
    assert list(pruned.get_xdata()) == [1, 2, 3, 4, 5]
    assert list(pruned.get_ydata()) == HISTORY["val_accuracy"]
    assert dense.get_ydata()[-1] == 0.97
    # The cut before the fourth epoch lies between the third and the fourth.
    assert list(mark.get_xdata()) == [3.5, 3.5]
    assert list(lower.lines[0].get_xdata()) == [3.5, 3.5]


def test_the_climb_from_chance_does_not_squeeze_the_rest():
    upper, _ = plot_pruning(HISTORY, ROUNDS).axes
    lowest, highest = upper.get_ylim()
    assert 0.7 < lowest < 0.8
    assert highest > 0.95


def test_another_metric_on_request():
    assert titles(plot_pruning(HISTORY, ROUNDS, metric="loss"))[0] == "Loss"


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match=r"`metric` of `plot_pruning`.*'val_accuracy'.*metric='auc'"):
        plot_pruning(HISTORY, ROUNDS, metric="auc")


def test_without_any_known_metric_the_first_is_shown():
    assert titles(plot_pruning({"d_loss": [2.0, 1.0], "g_loss": [1.0, 3.0]}, []))[0] == "D loss"
    with pytest.raises(ValueError, match=r"`metric` of `plot_pruning`"):
        plot_pruning({}, [])


def test_epochs_are_counted_from_that_in_which_a_fit_began():
    history = keras.callbacks.History()
    history.epoch, history.history = [10, 11, 12], {"loss": [3.0, 2.0, 1.0], "macs": [2e6, 1e6, 1e6]}
    upper, lower = plot_pruning(history, [{"epoch": 11}]).axes
    loss, mark = upper.lines
    assert list(loss.get_xdata()) == [11, 12, 13]
    assert list(mark.get_xdata()) == [11.5, 11.5]
    assert list(lower.patches[0].get_data().edges) == [10.5, 11.5, 12.5, 13.5]
    assert upper.get_xlim() == (10.5, 13.5)


def test_a_history_object_will_do():
    history = keras.callbacks.History()
    history.history = HISTORY
    assert len(plot_pruning(history, ROUNDS).axes) == 2


def test_without_multiply_accumulates_the_parameters_are_shown():
    history = {"loss": [2.0, 1.0], "params": [512.0, 256.0]}
    assert titles(plot_pruning(history, [])) == ["Loss", "Parameters: 512 to 256"]


def test_without_either_the_size_is_left_blank():
    assert titles(plot_pruning({"loss": [2.0, 1.0]}, [])) == ["Loss", "Multiply-accumulates"]


def test_a_report_shows_both_and_is_saved(tmp_path):
    figure = plot_report(network(16), network(6), HISTORY, ROUNDS)
    assert titles(figure) == ["Units per layer", "Validation accuracy", "Multiply-accumulates: 2 M to 1 M"]
    figure.savefig(tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_numbers_stand_beside_their_bars():
    figure = plot_widths(network(3_000), network(2_999))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    ends = [bar.get_window_extent().x1 for bar in axes.patches[:2]]
    for text, end in zip(axes.texts, ends, strict=True):
        assert text.get_text() == "2,999 of 3,000"
        assert end < text.get_window_extent().x0
        assert text.get_window_extent().x1 < axes.get_window_extent().x1
