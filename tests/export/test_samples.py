import keras
import numpy as np
import pytest

from keras_slim.export.samples import draw_samples, fix_shapes, read_samples
from keras_slim.export.signature import ModelInput, Signature

PICTURE = Signature(ModelInput("picture", (4, 4, 1), "float32"))
PAIR = Signature([ModelInput("left", (2,), "float32"), ModelInput("right", (None,), "int32")])


def read(data, signature=PICTURE):
    return read_samples(data, signature, "data", "export_tflite")


def test_structures_of_one_input():
    array = np.ones((3, 4, 4, 1), "uint8")
    for data in (array, [array], {"picture": array}):
        samples = read(data)
        assert list(samples) == ["picture"]
        assert samples["picture"].dtype == "float32"
        np.testing.assert_array_equal(samples["picture"], array)


def test_structures_of_several_inputs():
    left, right = np.zeros((3, 2)), np.ones((3, 5))
    for data in ([left, right], (left, right), {"right": right, "left": left}):
        samples = read(data, PAIR)
        assert {name: (array.shape, array.dtype.name) for name, array in samples.items()} == {
            "left": ((3, 2), "float32"),
            "right": ((3, 5), "int32"),
        }
    assert [leaf.shape for leaf in fix_shapes(PAIR, samples).inputs] == [(2,), (5,)]


@pytest.mark.parametrize("shape", [(3, 4, 4), (3, 4, 5, 1), (4, 4, 1), (0, 4, 4, 1)])
def test_wrong_shape_names_both(shape):
    with pytest.raises(ValueError, match="shape") as error:
        read(np.zeros(shape))
    assert str(("samples", 4, 4, 1)) in str(error.value)
    assert str(shape) in str(error.value)


def test_labels_beside_the_inputs_are_refused():
    with pytest.raises(ValueError, match=r"Received: a tuple of 2\. Give the inputs only, without labels"):
        read((np.zeros((3, 4, 4, 1)), np.zeros(3)))


def test_unknown_name_of_an_input():
    with pytest.raises(ValueError, match=r"'picture'.*Received: a dictionary with the keys \['image'\]"):
        read({"image": np.zeros((3, 4, 4, 1))})


def test_different_numbers_of_samples():
    with pytest.raises(ValueError, match=r"\{'left': 3, 'right': 2\}"):
        read([np.zeros((3, 2)), np.zeros((2, 5))], PAIR)


@pytest.mark.parametrize("data", [np.full((1, 4, 4, 1), np.nan), np.full((1, 4, 4, 1), "a")])
def test_what_is_not_a_finite_number(data):
    with pytest.raises(ValueError, match="`data` of `export_tflite`"):
        read(data)


def test_data_that_are_used_up():
    with pytest.raises(ValueError, match=r"`data` holds no batch.*used up"):
        read(iter(()))


def as_batches(nested):
    return iter([(nested, None)])


@pytest.mark.parametrize("given", [list, tuple, keras.tree.flatten, as_batches])
def test_inputs_in_lists_of_lists(given):
    leaves = [ModelInput(name, (2,), "float32") for name in "abc"]
    arrays = [np.full((3, 2), value) for value in (1, 2, 3)]
    samples = read(given([arrays[:1], arrays[1:]]), Signature([leaves[:1], leaves[1:]]))
    assert {name: array[0, 0] for name, array in samples.items()} == {"a": 1, "b": 2, "c": 3}


def test_random_samples_are_the_same_each_time():
    signature = PAIR.with_shapes({"left": (2,), "right": (3,)})
    first, second = draw_samples(signature, 8), draw_samples(signature, 8)
    assert {name: array.shape for name, array in first.items()} == {"left": (8, 2), "right": (8, 3)}
    assert set(np.unique(first["right"])) <= {0, 1}
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_random_samples_need_a_fixed_shape():
    with pytest.raises(ValueError, match="'right' has the shape"):
        draw_samples(PAIR, 8)
