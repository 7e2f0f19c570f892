import pytest

from keras_slim.reports import plot_quantization
from keras_slim.rewriting import LayerSensitivity, Measured, QuantizationReport


def report(metric):
    def measured(value, decibels):
        return Measured(value if metric else None, decibels)

    layers = [
        LayerSensitivity("in/a", "Dense", 30.0, measured(0.8, 20.0), measured(0.89, 40.0)),
        LayerSensitivity("b", "Conv2D", 42.0, measured(0.9, 41.0), measured(0.79, 20.1)),
    ]
    return QuantizationReport("net", metric, 100, 0.91 if metric else None, measured(0.78, 19.0), tuple(layers))


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_both_ways_for_each_layer_and_the_whole_model(tmp_path):
    figure = plot_quantization(report("val_accuracy"))
    noise, metric = map(lines, figure.axes)
    assert noise["it alone rounded"] == ([20.0, 41.0], [0, 1])
    assert noise["it alone left real"] == ([40.0, 20.1], [0, 1])
    assert noise["all rounded"][0] == [19.0, 19.0]
    assert metric["it alone rounded"][0] == [0.8, 0.9]
    assert metric["nothing rounded"][0] == [0.91, 0.91]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["in/a", "b"]
    assert figure.axes[0].yaxis_inverted()  # the worst is on top
    assert figure.axes[1].get_xlabel() == "Validation accuracy"
    figure.savefig(tmp_path / "report.png")


def test_without_a_metric_there_is_the_noise_alone():
    (axes,) = plot_quantization(report(None)).axes
    assert lines(axes)["all rounded"][0] == [pytest.approx(19.0)] * 2
