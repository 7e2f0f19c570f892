"""What is rebuilt is known beforehand: of an invertible layer the image itself, of what is not looked at nothing."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_slim.scoring import invert_feature_maps

RNG = np.random.default_rng(0)
FREE = {"total_variation": 0.0, "alpha_norm": 0.0, "verbose": 0}


@pytest.fixture
def images():
    """Two images of 5 x 4 pixels and three colours, far from zero and of small contrast, as pixels are."""
    return (3 + 0.5 * RNG.normal(size=(2, 5, 4, 3))).astype("float32")


@pytest.fixture
def invertible():
    """A 1x1 convolution that turns the colours by an orthogonal matrix."""
    model = keras.Sequential([keras.Input((5, 4, 3)), layers.Conv2D(3, 1, name="turn"), layers.Flatten()])
    turn, _ = np.linalg.qr(RNG.normal(size=(3, 3)))
    model.get_layer("turn").set_weights([turn[None, None], np.array([0.1, -0.2, 0.3])])
    return model


@pytest.fixture
def copying():
    """A dense layer whose unit `i` puts out feature `i`."""
    model = keras.Sequential([keras.Input((6,)), layers.Dense(6, name="copy", kernel_initializer="identity")])
    return model


@pytest.mark.parametrize("layer", ["turn", "flatten"])
def test_an_invertible_layer_gives_the_image_back(invertible, images, layer):
    rebuilt = invert_feature_maps(invertible, layer, images, **FREE)
    assert rebuilt.dtype == np.float32
    np.testing.assert_allclose(rebuilt, images, atol=0.01)


def test_what_is_not_kept_is_not_looked_at(copying):
    rows = RNG.normal(size=(3, 6)).astype("float32")
    keep = np.array([True, False, True, True, False, False])
    rebuilt = invert_feature_maps(copying, "copy", rows, keep, **FREE)
    np.testing.assert_allclose(rebuilt[:, keep], rows[:, keep], atol=0.01)
    # The others stay the faint noise around grey that they were: no more than 5 of its standard deviations from it.
    assert np.abs(rebuilt[:, ~keep] - rows.mean()).max() < 5 * 0.1 * rows.std()


def test_a_mask_may_name_positions(invertible, images):
    keep = np.zeros((5, 4, 1), bool)
    keep[:2] = True
    rebuilt = invert_feature_maps(invertible, "turn", images, keep, **FREE)
    np.testing.assert_allclose(rebuilt[:, :2], images[:, :2], atol=0.01)
    assert np.abs(rebuilt[:, 2:] - images.mean()).max() < 5 * 0.1 * images.std()


def test_keeping_all_is_the_default(invertible, images):
    every = invert_feature_maps(invertible, "turn", images, np.ones(3, bool), steps=10, verbose=0)
    np.testing.assert_array_equal(invert_feature_maps(invertible, "turn", images, steps=10, verbose=0), every)


def test_a_seed_repeats_the_picture_and_another_does_not(invertible, images):
    first, again, other = (
        invert_feature_maps(invertible, "turn", images, steps=5, seed=s, verbose=0) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_the_model_is_left_as_it_was(images):
    model = keras.Sequential(
        [keras.Input((5, 4, 3)), layers.BatchNormalization(name="norm"), layers.Dropout(0.5), layers.Flatten()]
    )
    model.compile("adam", "mse")
    before = [np.copy(weight) for weight in model.get_weights()]
    rebuilt = invert_feature_maps(model, "flatten", images, **FREE)
    np.testing.assert_allclose(rebuilt, images, atol=0.01)  # no unit was dropped, no batch was normalized by itself
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.compiled
    assert not model.optimizer.built


def test_more_total_variation_is_smoother(invertible, images):
    rough, smooth = (
        invert_feature_maps(invertible, "turn", images, total_variation=weight, verbose=0) for weight in (0.0, 10.0)
    )
    assert np.abs(np.diff(smooth, axis=1)).mean() < 0.2 * np.abs(np.diff(rough, axis=1)).mean()


def test_the_alpha_norm_holds_extreme_pixels_back(copying):
    rows = np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]])
    free, held = (
        invert_feature_maps(copying, "copy", rows, total_variation=0, alpha_norm=weight, verbose=0)
        for weight in (0.0, 0.1)
    )
    assert free[0, 5] == pytest.approx(1, abs=0.01)
    assert held[0, 5] < 0.9


def test_layers_of_a_model_inside_the_model_are_found(images):
    inner = keras.Sequential([keras.Input((5, 4, 3)), layers.Rescaling(2.0, name="double")], name="inner")
    inputs = keras.Input((5, 4, 3))
    model = keras.Model(inputs, layers.Flatten()(inner(layers.Rescaling(3.0)(inputs))))
    np.testing.assert_allclose(invert_feature_maps(model, "inner/double", images, **FREE), images, atol=0.01)


def test_progress_is_shown_on_request(invertible, images, capsys):
    invert_feature_maps(invertible, "turn", images, steps=3, verbose=0)
    assert capsys.readouterr().out == ""
    invert_feature_maps(invertible, "turn", images, steps=3, verbose=1)
    assert "3/3" in capsys.readouterr().out


def test_an_unknown_layer_is_answered_with_the_nearest(invertible, images):
    with pytest.raises(ValueError, match=r"`layer` of `invert_feature_maps`.*'trun'.*Did you mean 'turn'"):
        invert_feature_maps(invertible, "trun", images)
    with pytest.raises(ValueError, match="Its layers: turn, flatten"):
        invert_feature_maps(invertible, "xyz", images)


@pytest.mark.parametrize(
    "keep",
    [[True] * 4, [False] * 3, [0.0, 1.0, 1.0], np.ones((2, 5, 4, 3), bool)],
    ids=["too many", "nothing kept", "numbers", "samples too"],
)
def test_a_mask_that_does_not_fit_is_refused(invertible, images, keep):
    with pytest.raises(ValueError, match=r"`keep`.*broadcast to shape \(5, 4, 3\)"):
        invert_feature_maps(invertible, "turn", images, keep)


@pytest.mark.parametrize("bad", [{"total_variation": -1}, {"alpha_norm": -1.0}, {"steps": 0}], ids=str)
def test_arguments_out_of_range_are_refused(invertible, images, bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}` of `invert_feature_maps`"):
        invert_feature_maps(invertible, "turn", images, **bad)


@pytest.mark.parametrize("shape", [(0, 5, 4, 3), (2, 4, 4, 3), (5, 4, 3)], ids=str)
def test_images_that_do_not_fit_are_refused(invertible, shape):
    with pytest.raises(ValueError, match=r"`images` of .*batch of shape \(None, 5, 4, 3\)"):
        invert_feature_maps(invertible, "turn", np.zeros(shape))


def test_an_input_without_a_slope_is_refused():
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(4, 2, name="table")])
    with pytest.raises(ValueError, match="one floating-point input"):
        invert_feature_maps(model, "table", np.zeros((1, 3)))
