"""The three phases: which weights are zero in which epoch, and the learning rate."""

import keras
import numpy as np
import pytest
from batching import batches
from killing import KilledError, Killer

import keras_slim as slim
from keras_slim.errors import UnsupportedLayerError
from keras_slim.sparsity import Masks, kernels, magnitude_masks


def momentum():
    return keras.optimizers.SGD(0.05, momentum=0.9)


def dsd(sparsity=0.25, dense=1, sparse=2, redense=1, **options):
    return slim.callbacks.DenseSparseDense(sparsity, dense, sparse, redense, **{"verbose": 0, **options})


def fit(model, x, y, *callbacks, epochs=4, **options):
    return model.fit(batches(x, y, 24), epochs=epochs, verbose=0, callbacks=list(callbacks), **options).history


def values(model):
    return {path: weight.numpy().copy() for path, weight in kernels(model).items()}


def test_phases_sparsity_and_learning_rate_are_in_history(build, x, y):
    history = fit(build(keras.optimizers.Adam(0.01)), x, y, dsd(), epochs=5)
    assert history["dsd_phase"] == [0, 1, 1, 2, 2]
    assert history["sparsity"] == pytest.approx([0, 0.25, 0.25, 0, 0])
    assert history["learning_rate"] == pytest.approx([0.01, 0.01, 0.01, 0.001, 0.001])


def test_the_smallest_weights_of_each_kernel_at_the_switch_are_zero(build, watch, x, y):
    seen = watch(values)
    callback = dsd()
    fit(build(momentum()), x, y, callback, seen)
    for path, before in seen.at_end[0].items():
        number = round(0.25 * before.size)
        threshold = np.sort(np.abs(before).ravel())[number]
        for epoch in (1, 2):
            for moment in (seen.after, seen.at_end):
                zero = moment[epoch][path] == 0
                assert zero.sum() == number
                assert np.all(np.abs(before[zero]) < threshold)
        kept = np.abs(before) >= threshold
        np.testing.assert_array_equal(seen.after[1][path][kept], before[kept])


def test_freed_weights_start_from_zero_and_are_trained(build, watch, x, y):
    seen = watch(values)
    fit(build(momentum()), x, y, dsd(), seen)
    for path, before in seen.at_end[2].items():
        np.testing.assert_array_equal(seen.after[3][path], before)
        assert np.all(seen.at_end[3][path] != 0)


def test_phases_can_be_repeated(build, x, y):
    history = fit(build(momentum()), x, y, dsd(dense=0, sparse=1, redense=1, repeats=2, sparse_rate=0.5), epochs=4)
    assert history["dsd_phase"] == [1, 2, 1, 2]
    assert history["learning_rate"] == pytest.approx([0.025, 0.005, 0.025, 0.005])


def test_a_network_that_stays_dense_is_trained_as_without_the_callback(build, x, y):
    plain, ours = build(momentum()), build(momentum())
    ours.set_weights(plain.get_weights())
    fit(plain, x, y)
    fit(ours, x, y, dsd(sparsity=0.0, redense_rate=1.0))
    for one, two in zip(plain.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_each_layer_can_have_a_sparsity_of_its_own(build, watch, x, y):
    seen = watch(Masks.nonzero)
    fit(build(momentum()), x, y, dsd({"second": 0.5, "head": 0.125}), seen)
    first, second, head = seen.at_end[1].values()
    assert first.all()
    assert (second.sum(), head.sum()) == (128, 28)


def test_layers_can_be_ignored(build, watch, x, y):
    seen = watch(Masks.nonzero)
    fit(build(momentum()), x, y, dsd(ignore=["head"]), seen)
    assert [bool(mask.all()) for mask in seen.at_end[1].values()] == [False, False, True]


@pytest.mark.parametrize("skip", [True, False])
def test_the_first_convolution_is_left_dense_unless_asked_for(skip):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(4, 3, name="stem"),
            keras.layers.Conv2D(4, 3, name="body"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    callback = dsd(dense=0, sparse=1, skip_first_convolution=skip)
    model.fit(np.ones((4, 6, 6, 2)), np.ones(4), epochs=2, verbose=0, callbacks=[callback])
    assert ("sequential/stem/kernel" in callback.masks) is not skip


def test_a_second_fit_starts_with_the_first_phase(build, x, y):
    model, callback = build(keras.optimizers.SGD(0.1)), dsd(redense_rate=1.0)
    assert fit(model, x, y, callback)["dsd_phase"] == fit(model, x, y, callback)["dsd_phase"] == [0, 1, 1, 2]


def test_initial_epoch_counts_from_there(build, x, y):
    assert fit(build(), x, y, dsd(), epochs=9, initial_epoch=5)["dsd_phase"] == [0, 1, 1, 2]


def test_too_few_epochs_are_refused_and_nothing_is_left_behind(build, x, y):
    model = build()
    before = model.get_weights()
    with pytest.raises(ValueError, match="Expected at least 4 epochs in `fit`. Received 3"):
        fit(model, x, y, dsd(), epochs=3)
    assert all(weight.constraint is None for weight in model.weights)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_schedule_cannot_be_multiplied(build, x, y):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    with pytest.raises(ValueError, match=r"Expected 1, since the learning rate of the optimizer is a schedule"):
        fit(build(keras.optimizers.SGD(schedule)), x, y, dsd())
    history = fit(build(keras.optimizers.SGD(schedule)), x, y, dsd(redense_rate=1.0))
    assert history["learning_rate"] == sorted(history["learning_rate"], reverse=True)


def test_a_model_without_kernels_is_refused(x):
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    model.compile("sgd", "mse")
    with pytest.raises(UnsupportedLayerError, match="finds nothing to prune"):
        model.fit(x, x, verbose=0, callbacks=[dsd()])


def test_unknown_layers_are_named(build, x, y):
    with pytest.raises(ValueError, match="Did you mean 'second'"):
        fit(build(), x, y, dsd({"secnd": 0.5}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparse": 0}, "sparse_epochs"),
        ({"redense_rate": 0}, "a finite number > 0"),
        ({"ignore": "head"}, "ignore"),
        ({"pattern": "blocks"}, "Did you mean 'block'"),
    ],
)
def test_wrong_arguments_are_refused_at_once(options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        dsd(**options)


def test_phases_are_told(build, x, y, capsys):
    fit(build(keras.optimizers.SGD(0.1)), x, y, dsd(verbose=1))
    printed = capsys.readouterr().out
    assert "Epoch 2: sparse, sparsity 0.250, learning rate 0.1" in printed
    assert "Epoch 4: dense again, sparsity 0.000, learning rate 0.01" in printed


def test_a_pattern_is_kept(build, watch, x, y):
    seen = watch(Masks.nonzero)
    fit(build(momentum()), x, y, dsd(0.5, pattern="n_of_m"), seen)
    for mask in seen.at_end[1].values():
        assert mask.reshape(-1, 4, mask.shape[1]).sum(axis=1).max() == 2


def test_a_mask_is_what_magnitude_says(build, watch, x, y):
    seen = watch(lambda model: (values(model), Masks.nonzero(model)))
    fit(build(momentum()), x, y, dsd(), seen)
    assert seen.after[1][1] == magnitude_masks(seen.at_end[0][0], 0.25)


def test_the_learning_rate_is_what_it_was_after_fit(build, x, y):
    model = build(keras.optimizers.SGD(0.1))
    fit(model, x, y, dsd())
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)


@pytest.mark.parametrize(("rate", "expected"), [(None, 0.1), (0.3, 0.3)], ids=["left alone", "set since"])
def test_a_fit_after_an_interrupted_one_begins_with_the_rate_of_before(build, x, y, rate, expected):
    model, callback = build(keras.optimizers.SGD(0.1)), dsd(dense=0, sparse=1)
    with pytest.raises(KilledError):
        fit(model, x, y, callback, Killer(1), epochs=2)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    model.optimizer.learning_rate = rate or model.optimizer.learning_rate
    other = build(keras.optimizers.SGD(0.2))
    assert fit(other, x, y, callback, epochs=2)["learning_rate"] == pytest.approx([0.2, 0.02])
    assert fit(model, x, y, callback, epochs=2)["learning_rate"] == pytest.approx([expected, 0.1 * expected])


def test_a_pattern_brings_its_sparsity(build, x, y):
    callback = dsd(None, pattern="n_of_m")
    assert max(fit(build(), x, y, callback)["sparsity"]) == 0.5
    with pytest.raises(ValueError, match="the only share of zeros"):
        dsd(0.3, pattern="n_of_m")


def test_epochs_that_no_phase_takes_are_told_before_training(build, capsys, x, y):
    told = []
    note = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: told.append(capsys.readouterr().out))
    fit(build(), x, y, dsd(verbose=1), note, epochs=6)
    assert "take 4 epochs, and `fit` has 6: the last phase, dense again, goes on for the other 2." in told[0]
    fit(build(), x, y, dsd(verbose=1), epochs=4)
    assert "goes on" not in capsys.readouterr().out
