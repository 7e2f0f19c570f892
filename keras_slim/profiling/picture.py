"""The picture of a profile: which layers hold the parameters, and which take the multiply-accumulates."""

import collections

from keras_slim.drawing import BLUE, MOST_ROWS, ORANGE, draw_bars, height_of, new_figure, tell_hidden
from keras_slim.profiling.table import scaled


def draw(profile, figure=None):
    """Draws the share of each layer in the parameters and the multiply-accumulates of a `ModelProfile`."""
    parameters, macs = collections.Counter(), collections.Counter()
    for layer in profile.layers:
        parameters[layer.name] += layer.parameters
        macs[layer.name] += layer.macs
    shares = {name: _share(parameters[name], profile.parameters) + _share(macs[name], profile.macs) for name in macs}
    largest = {name for name in sorted(shares, key=shares.get, reverse=True)[:MOST_ROWS] if shares[name]}
    names = [name for name in shares if name in largest]
    if not names:
        raise ValueError(f"There is nothing to draw: model '{profile.name}' has neither weights nor operations.")
    figure = figure or new_figure(10, height_of(len(names)))
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_shares(left, names, parameters, profile.parameters, BLUE, "parameters")
    _draw_shares(right, names, macs, profile.macs, ORANGE, "multiply-accumulates")
    hidden = sum(map(bool, shares.values())) - len(names)
    tell_hidden(figure, hidden, "layers")
    return figure


def _draw_shares(axes, names, counts, total, color, what):
    shares = [_share(counts[name], total) for name in names]
    draw_bars(axes, names, shares, [f"{share:.1%}" if share else "" for share in shares], color)
    axes.set_title(f"Share of {scaled(total)} {what}", loc="left")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")


def _share(count, total):
    return count / total if total else 0.0
