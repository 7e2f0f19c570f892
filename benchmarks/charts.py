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


def curve(axes, points, label):
    """Draws the medians of y over the medians of x, with the range of y over the seeds behind.

    Args:
        axes: The axes to draw in.
        points: For each point along the curve a list of `(x, y)`, one per seed.
        label: Name in the legend.
    """
    values = np.array(points)
    x = np.median(values[..., 0], axis=1)
    (line,) = axes.plot(x, np.median(values[..., 1], axis=1), marker="o", markersize=3, label=label)
    axes.fill_between(x, values[..., 1].min(axis=1), values[..., 1].max(axis=1), color=line.get_color(), alpha=0.15)
