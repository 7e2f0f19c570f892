import keras
import numpy as np
from searching import PARAMS, build, data, fit_arguments

import keras_slim as slim
from keras_slim.tuning.checkpoint import is_as_built, load_whole, saving_whole


def test_weights_of_a_smaller_model_make_a_large_one_that_model(tmp_path):
    path, noted, (x, y) = tmp_path / "checkpoint.weights.h5", [], data()
    smaller = slim.prune(build(), 0.5, guards=slim.pruning.Guards(align=1), verbose=0)
    smaller.compile("sgd", "sparse_categorical_crossentropy")
    with saving_whole(smaller, noted.append):
        smaller.fit(x, y, verbose=0)
        smaller.save_weights(path)
    assert noted == [tmp_path]
    assert path.exists()
    assert "save_weights" not in vars(smaller)

    model = build()
    model.seen = keras.metrics.Mean(name="seen")
    model.evaluate(x, y, verbose=0)  # has metrics by now
    load_whole(model)
    assert is_as_built(model)
    model.load_weights(path)
    assert not is_as_built(model)
    assert model.count_params() == smaller.count_params() < PARAMS
    np.testing.assert_array_equal(model.predict(x, verbose=0), smaller.predict(x, verbose=0))
    assert any(each is model.seen for each in model.metrics)
    history = model.fit(epochs=2, **fit_arguments()).history
    assert set(history) >= {"accuracy", "loss", "val_accuracy", "val_loss"}
    assert not np.array_equal(model.layers[0].kernel, smaller.layers[0].kernel)
    assert [each.name for each in model.trainable_variables] == [each.name for each in smaller.trainable_variables]
    model.save(tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_weights_alone_are_loaded_as_ever(tmp_path):
    first, second = build(), build()
    first.save_weights(tmp_path / "checkpoint.weights.h5")
    load_whole(second)
    second.load_weights(tmp_path / "checkpoint.weights.h5")
    assert is_as_built(second)
    np.testing.assert_array_equal(second.layers[0].kernel, first.layers[0].kernel)
