"""What the zeros of a sparse model save."""

import gzip

import keras
import numpy as np
import pytest

from keras_slim.export import export_tflite
from keras_slim.export.dense_twin import is_sparse, sparsity_of, without_zeros


@pytest.fixture
def model():
    """A network in which 3 of 4 weights of the first kernel are zero, none of the second."""
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(128, "relu"), keras.layers.Dense(4)])
    kernel = model.layers[0].kernel
    kernel.assign(np.where(np.arange(64 * 128).reshape(64, 128) % 4, 0, kernel.numpy()))
    return model


def test_sparsity_is_that_of_matrices(model):
    assert sparsity_of(model) == pytest.approx(0.75 * 64 * 128 / (64 * 128 + 128 * 4))


def test_a_twin_without_zeros_has_the_values_of_the_model_and_leaves_it_as_it_is(model):
    before = model.get_weights()
    with without_zeros(model):
        kernel = model.layers[0].kernel.numpy()
        assert np.all(kernel != 0)
        assert np.isin(kernel, before[0]).all()
        np.testing.assert_array_equal(model.layers[1].kernel.numpy(), before[2])
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_zeros_come_back_when_something_fails(model):
    before = model.get_weights()[0]
    with pytest.raises(KeyError), without_zeros(model):
        raise KeyError
    np.testing.assert_array_equal(before, model.get_weights()[0])


@pytest.mark.parametrize(("value", "sparse"), [(0.0, False), (1.0, False)])
def test_a_model_of_zeros_or_without_them_is_not_sparse(model, value, sparse):
    model.set_weights([np.full_like(each, value) for each in model.get_weights()])
    assert is_sparse(model) is sparse


def test_the_report_sets_the_file_beside_its_dense_twin(model, tmp_path):
    data = np.random.default_rng(0).normal(size=(20, 64)).astype("float32")
    report = export_tflite(model, tmp_path / "sparse.tflite", data=data, verbose=0)
    with without_zeros(model):
        dense = export_tflite(model, tmp_path / "dense.tflite", data=data, verbose=0)
    assert dense.dense_gzip_bytes is None
    assert dense.sparsity == 0
    assert report.bytes == dense.bytes
    assert report.dense_gzip_bytes == dense.gzip_bytes
    assert report.gzip_bytes == len(gzip.compress((tmp_path / "sparse.tflite").read_bytes(), mtime=0))
    assert report.gzip_bytes < 0.45 * report.dense_gzip_bytes  # 72 % of the zeros gone, positions to be stored
    assert f"70.6% of the kernels; {dense.gzip_bytes:,} bytes after gzip without them" in str(report)
    assert report.to_dict()["sparsity"] == pytest.approx(report.sparsity)
