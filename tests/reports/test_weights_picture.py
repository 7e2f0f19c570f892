import keras
import numpy as np
import pytest

from keras_slim.reports import plot_weights


def test_centroids_and_histograms(tmp_path):
    layers = [keras.layers.Dense(8, name=name) for name in ("shared", "free", "dead")]
    model = keras.Sequential([keras.Input((8,)), *layers], name="net")
    kernel = np.zeros((8, 8))
    kernel[0], kernel[1, :2] = 0.5, -2
    model.layers[0].kernel.assign(kernel)
    model.layers[2].kernel.assign(np.zeros((8, 8)))
    figure = plot_weights(model)
    shared, free, dead = figure.axes
    assert shared.get_title(loc="left") == "net/shared/kernel, 15.6% kept"
    assert shared.get_xlabel() == "2 shared values"
    assert [segment[:, 1].tolist() for segment in shared.collections[0].get_segments()] == [[0, 2], [0, 8]]
    assert [segment[0, 0] for segment in shared.collections[0].get_segments()] == [-2, 0.5]
    assert sum(bar.get_height() for bar in free.patches) == 64
    assert dead.get_title(loc="left") == "net/dead/kernel, 0.0% kept"
    figure.savefig(tmp_path / "weights.png")


def test_a_model_without_kernels_is_refused():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Flatten(name="flat")], name="bare")
    with pytest.raises(ValueError, match="`model` of `plot_weights`.*'bare'"):
        plot_weights(model)
