import keras
import numpy as np
import pytest

from keras_slim.cli.files import load_model, load_samples, write_text


def test_a_model_is_loaded_uncompiled(model_path):
    model = load_model(model_path)
    assert model.name == "small"
    assert not model.compiled


def test_what_is_not_a_model_is_refused(tmp_path):
    text = tmp_path / "model.keras"
    with pytest.raises(ValueError, match=r"There is no file .*model\.keras"):
        load_model(text)
    text.write_text("no model")
    with pytest.raises(ValueError, match=r"not a \.keras file.*model\.save\('model\.keras'\)"):
        load_model(text)
    with pytest.raises(ValueError, match="is a folder"):
        load_model(tmp_path)
    np.savez(tmp_path / "data.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"Keras cannot load .*data\.npz"):
        load_model(tmp_path / "data.npz")


def test_a_model_that_would_run_code_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(tmp_path / "unsafe.keras")
    with pytest.raises(ValueError, match=r"Keras cannot load .*unsafe\.keras: .*[Ll]ambda"):
        load_model(tmp_path / "unsafe.keras")


def test_a_layer_of_the_users_own_is_refused_in_few_words(tmp_path):
    class Own(keras.layers.Layer):
        def call(self, x):
            return x

    keras.Sequential([keras.Input((2,)), Own()]).save(tmp_path / "own.keras")
    with pytest.raises(ValueError, match="layers of your own") as error:
        load_model(tmp_path / "own.keras")
    assert len(str(error.value)) < 600


def test_samples_and_targets(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=np.ones((4, 2)), y=np.arange(4))
    x, y = load_samples(path)
    np.testing.assert_array_equal(x, np.ones((4, 2)))
    np.testing.assert_array_equal(y, np.arange(4))
    np.savez(path, x=np.ones((4, 2)))
    assert load_samples(path)[1] is None


def test_samples_of_several_inputs(tmp_path):
    np.savez(tmp_path / "data.npz", x_1=np.ones((4, 3)), x_0=np.zeros((4, 2)))
    x, y = load_samples(tmp_path / "data.npz")
    assert [array.shape for array in x] == [(4, 2), (4, 3)]
    assert y is None


def test_what_holds_no_samples_is_refused(tmp_path):
    path = tmp_path / "data.npz"
    with pytest.raises(ValueError, match=r"There is no file .*data\.npz"):
        load_samples(path)
    np.savez(path, images=np.ones(3), labels=np.ones(3))
    with pytest.raises(ValueError, match=r"no array `x`.*numpy\.savez.*It has: images, labels"):
        load_samples(path)
    np.savez(path)
    with pytest.raises(ValueError, match="It has: nothing"):
        load_samples(path)
    path.write_text("x, y")
    with pytest.raises(ValueError, match=r"not a \.npz or \.npy file"):
        load_samples(path)


def test_samples_that_would_run_code_are_refused(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.array([{}], object))
    with pytest.raises(ValueError, match="cannot be read: Object arrays"):
        load_samples(tmp_path / "data.npz")


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "plan.json"
    write_text(path, "first")
    write_text(path, "second\n")
    assert path.read_text() == "second\n"
    assert [each.name for each in tmp_path.iterdir()] == ["plan.json"]


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ValueError, match="folder that exists"):
        write_text(tmp_path / "missing" / "plan.json", "text")
