"""The picture of a quantization report: what each layer costs when it is rounded."""

from typing import Any

from keras_slim.drawing import BLUE, ORANGE, add_legend, clean, new_figure
from keras_slim.reports.pictures import in_words
from keras_slim.rewriting import QuantizationReport

_MOST = 40
"""Layers that are drawn: with more, names cannot be read."""


def plot_quantization(report: QuantizationReport, *, figure: Any = None) -> Any:
    """Draws what each layer costs when it is rounded, the worst first.

    On the left the signal-to-noise ratio of the answers, on the right the metric, if there is one: with the layer alone
    rounded, and with it alone left real. Lines show the model with all layers rounded, and with none. Of more than 40
    layers the worst are drawn.

    Args:
        report: What `slim.quantization_report` returned.
        figure: Figure or subfigure of matplotlib to draw on. Defaults to a new one.

    Returns:
        The `matplotlib.figure.Figure`.
    """
    layers = report.layers[:_MOST]
    figure = figure or new_figure(10 if report.metric else 6, 1.8 + 0.3 * len(layers))
    panels = figure.subplots(1, 2 if report.metric else 1, sharey=True, squeeze=False)[0]
    _draw(panels[0], layers, "sqnr_db", report.quantized.sqnr_db)
    panels[0].set_xlabel("signal to noise of the answers, dB")
    panels[0].set_yticks(range(len(layers)), [layer.path for layer in layers])
    panels[0].invert_yaxis()
    if report.metric:
        _draw(panels[1], layers, "metric", report.quantized.metric)
        panels[1].axvline(report.real, color="black", linewidth=1.2, linestyle=(0, (4, 3)), label="nothing rounded")
        panels[1].set_xlabel(in_words(report.metric))
    add_legend(panels[-1])
    return figure


def _draw(axes, layers, of, whole):
    places = range(len(layers))
    for side, color, marker, label in (
        ("alone", ORANGE, "o", "it alone rounded"),
        ("others", BLUE, "s", "it alone left real"),
    ):
        values = [getattr(getattr(layer, side), of) for layer in layers]
        axes.plot(values, places, marker, color=color, label=label)
    axes.axvline(whole, color="black", linewidth=0.9, linestyle=":", label="all rounded")
    clean(axes)
