import hashlib

import numpy as np
import pytest

from keras_slim.datasets import load_digits
from keras_slim.datasets.digits import _read


def rows(*parts):
    return np.concatenate([x.reshape(len(x), -1) for x, _ in parts])


def test_the_file_holds_the_published_data():
    images, labels = _read()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == labels.dtype == np.uint8
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    assert digest == "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
    digest = hashlib.sha256(labels.tobytes()).hexdigest()
    assert digest == "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"


def test_shapes_types_and_range():
    for (x, y), samples in zip(load_digits(), (1197, 300, 300), strict=True):
        assert x.shape == (samples, 8, 8, 1)
        assert y.shape == (samples,)
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert (x.min(), x.max()) == (0, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_parts_are_the_whole_set_without_overlap(seed):
    images, labels = _read()
    parts = load_digits(seed)
    together = np.unique(rows(*parts), axis=0)
    # All 1797 images differ, so an image in two parts would leave fewer than 1797.
    np.testing.assert_array_equal(together * 16, np.unique(images.reshape(1797, 64), axis=0))
    np.testing.assert_array_equal(np.bincount(np.concatenate([y for _, y in parts])), np.bincount(labels))


@pytest.mark.parametrize("seed", range(3))
def test_images_keep_their_labels(seed):
    images, labels = _read()
    label_of = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    for x, y in load_digits(seed):
        assert [label_of[np.uint8(image * 16).tobytes()] for image in x] == y.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_every_part_holds_the_digits_in_their_overall_shares(seed):
    overall = np.bincount(_read()[1]) / 1797
    for _, y in load_digits(seed):
        assert np.abs(np.bincount(y, minlength=10) - overall * len(y)).max() <= 1.5


def test_the_seed_decides_the_split():
    for (x, y), (x_again, y_again) in zip(load_digits(7), load_digits(7), strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(y, y_again)
    assert (load_digits(7)[2][0] != load_digits(8)[2][0]).any()


def test_samples_do_not_come_sorted():
    for _, y in load_digits():
        assert (np.diff(y) == 0).mean() < 0.2


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (0.5, TypeError), ("0", TypeError)])
def test_a_bad_seed_is_named(seed, error):
    with pytest.raises(error, match=r"`seed` of `load_digits`.*at least 0"):
        load_digits(seed)
