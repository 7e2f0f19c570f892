"""Charts and pictures that stand in the documentation, small and the same every time they are drawn."""

import pathlib

import matplotlib
import numpy as np

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "keras_slim", "font.size": 9})

FOLDER = pathlib.Path(__file__).parents[1] / "docs" / "images"


def save(figure, name):
    """Writes a figure to `docs/images`; the suffix of the name says in which format."""
    FOLDER.mkdir(exist_ok=True)
    is_vector = name.endswith(".svg")
    metadata = {"Date": None} if is_vector else {"Software": None}
    figure.savefig(FOLDER / name, metadata=metadata, bbox_inches="tight", dpi=100)


def curve(axes, points, label, **style):
    """Draws the medians of y over the medians of x, with the range of y over the seeds behind.

    Args:
        axes: The axes to draw in.
        points: For each point along the curve a list of `(x, y)`, one per seed.
        label: Name in the legend.
        **style: How to draw the line, as for `axes.plot`.
    """
    x, y = np.transpose([np.median(runs, axis=0) for runs in points])
    (line,) = axes.plot(x, y, marker="o", markersize=3, label=label, **style)
    lowest, highest = np.transpose([(min(each for _, each in runs), max(each for _, each in runs)) for runs in points])
    axes.fill_between(x, lowest, highest, color=line.get_color(), alpha=0.15)
