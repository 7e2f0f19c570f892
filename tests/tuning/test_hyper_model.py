import csv

import keras
import numpy as np
import pytest
from searching import OF_KERAS_TUNER, PARAMS, PRUNING, build, data, fit_arguments

import keras_slim as slim
from keras_slim.errors import SlimWarning, UnsupportedLayerError
from keras_slim.tuning import CompressionHyperModel, Method, read_trials

keras_tuner = pytest.importorskip("keras_tuner", reason="`tox -e tuning` has it")
pytest.importorskip("tensorboard", reason="`tox -e tuning` has it")
pytestmark = OF_KERAS_TUNER
TAGS = ("epoch_params", "epoch_macs", "epoch_score")


def hyper_model(build_or_model=build, budget=150, settings=None, **options):
    """Returns a hypermodel that counts alone, so that no trial is exported."""
    return CompressionHyperModel(build_or_model, budget, settings=settings or PRUNING, exports=False, **options)


def random_search(hypermodel, folder, max_trials, **options):
    options = {"seed": 1, "directory": folder, "project_name": "search", **options}
    return keras_tuner.RandomSearch(hypermodel, hypermodel.objective, max_trials=max_trials, **options)


def stock_layers(model):
    return all(type(layer).__module__.startswith("keras.") for layer in model.layers)


def test_a_search_from_its_trials_to_the_best_model(tmp_path):
    hypermodel = hyper_model()
    assert isinstance(hypermodel, keras_tuner.HyperModel)
    assert isinstance(hypermodel, CompressionHyperModel)
    tuner = random_search(hypermodel, tmp_path, 2)
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    tuner.search(epochs=3, callbacks=[log], **fit_arguments())
    trials = read_trials(tuner)
    for result, trial in zip(trials.results, map(tuner.oracle.get_trial, "01"), strict=True):
        ratio = trial.hyperparameters.get("slim/ratio")
        assert result.settings == {"ratio": ratio}
        assert result.costs["params"] <= PARAMS * (1 - ratio)
        expected = result.metric - max(0, result.costs["params"] / 150 - 1)
        assert result.score == pytest.approx(expected) == pytest.approx(trial.score)
        assert trial.metrics.get_best_value("params") == result.costs["params"]
    with open(tmp_path / "log.csv") as file:  # of the last trial
        rows = list(csv.DictReader(file))
    assert float(rows[0]["score"]) == -np.inf  # cut before the second epoch
    smaller = trials.results[-1].costs["params"]
    assert [float(row["params"]) for row in rows] == [PARAMS, smaller, smaller]

    best, (also_best,), (x, y) = hypermodel.best_model(tuner), tuner.get_best_models(), data()
    assert best.count_params() == also_best.count_params() == trials.best.costs["params"]
    assert stock_layers(best)
    assert stock_layers(also_best)
    assert not {"save_weights", "load_weights"} & (set(vars(best)) | set(vars(also_best)))
    np.testing.assert_array_equal(best.predict(x, verbose=0), also_best.predict(x, verbose=0))
    assert best.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] == pytest.approx(trials.best.metric, abs=1e-6)
    also_best.fit(x, y, verbose=0)  # compiled, and its optimizer has slots of the right shapes
    assert also_best.optimizer.built


def test_tensorboard_shows_score_and_costs_of_each_trial(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    hypermodel = hyper_model(settings={**PRUNING, "ratio": [0.5]})
    board = keras.callbacks.TensorBoard(tmp_path / "board", write_graph=False)
    random_search(hypermodel, tmp_path, 1).search(epochs=3, callbacks=[board], **fit_arguments())
    (result,) = read_trials(tmp_path / "search").completed
    events = EventAccumulator(str(tmp_path / "board" / "0" / "execution0" / "train"), {"tensors": 0}).Reload()
    written = {name: [float(make_ndarray(each.tensor_proto)) for each in events.Tensors(name)] for name in TAGS}
    assert written["epoch_params"] == [PARAMS, result.costs["params"], result.costs["params"]]
    assert written["epoch_macs"][-1] == result.costs["macs"]
    assert written["epoch_score"][0] == -np.inf
    assert max(written["epoch_score"]) == pytest.approx(result.score)


class Interrupting(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_a_search_goes_on_where_it_was(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        random_search(hyper_model(), tmp_path, 1).search(epochs=2, callbacks=[Interrupting()], **fit_arguments())
    (interrupted,) = read_trials(tmp_path / "search").results
    assert interrupted.status == "RUNNING"  # after a first epoch that was scored
    random_search(hyper_model(), tmp_path, 1).search(epochs=2, **fit_arguments())
    assert read_trials(tmp_path / "search").best.settings == interrupted.settings
    before = (tmp_path / "search" / "trial_0" / "compression.json").read_bytes()
    tuner = random_search(hyper_model(), tmp_path, 2)
    tuner.search(epochs=2, **fit_arguments())
    trials = read_trials(tmp_path / "search")
    assert [each.status for each in trials.results] == ["COMPLETED"] * 2
    assert (tmp_path / "search" / "trial_0" / "compression.json").read_bytes() == before
    assert hyper_model().best_model(tuner).count_params() == trials.best.costs["params"]


def test_a_ratio_out_of_reach_fails_its_trial_and_not_the_search(tmp_path):
    hypermodel = hyper_model(settings={**PRUNING, "max_ratio": 0.5, "ratio": [0.99, 0.3]})
    tuner = random_search(hypermodel, tmp_path, 2)
    with pytest.warns(SlimWarning, match=r"Trial \d failed: .*`ratio`.*Settings: method='prune'.*ratio=0.99"):
        tuner.search(epochs=2, **fit_arguments())
    trials = read_trials(tuner)
    assert sorted(each.status for each in trials.results) == ["COMPLETED", "FAILED"]
    (failed,) = (each for each in trials.results if each.status == "FAILED")
    assert failed.settings["ratio"] == 0.99
    assert "as far as the guards" in failed.failure
    assert failed.failure[:60] in " ".join(str(trials).split())


def test_hyperband_trains_on_what_an_earlier_trial_has_cut(tmp_path):
    hypermodel = hyper_model()
    options = {"max_epochs": 3, "factor": 3, "seed": 2, "directory": tmp_path, "project_name": "search"}
    tuner = keras_tuner.Hyperband(hypermodel, hypermodel.objective, **options)
    tuner.search(**fit_arguments())
    trials = {each.trial: each for each in read_trials(tuner).completed}
    promoted = [each for each in tuner.oracle.trials.values() if "tuner/trial_id" in each.hyperparameters.values]
    assert promoted
    for trial in promoted:
        values = trial.hyperparameters.values
        now, before = trials[trial.trial_id], trials[values["tuner/trial_id"]]
        assert now.costs == before.costs  # it is not cut again
        assert now.epoch >= values["tuner/initial_epoch"] > before.epoch


def test_bayesian_optimization_and_several_executions_find_a_model_with_few_bits(tmp_path):
    settings = {**PRUNING, "method": ["prune+quantize"], "bits": [4, 8]}
    hypermodel = hyper_model(settings=settings, cost="weight_bytes", budget=200)
    options = {"max_trials": 1, "executions_per_trial": 2, "directory": tmp_path, "seed": 1}
    tuner = keras_tuner.BayesianOptimization(hypermodel, hypermodel.objective, **options)
    tuner.search(epochs=3, **fit_arguments())
    (result,) = read_trials(tuner).completed
    assert result.costs["weight_bytes"] < 4 * result.costs["params"] / 2
    best, (also_best,), (x, _) = hypermodel.best_model(tuner), tuner.get_best_models(), data()
    np.testing.assert_array_equal(best.predict(x, verbose=0), also_best.predict(x, verbose=0))
    assert any(isinstance(layer, slim.layers.QuantDense) for layer in best.layers)
    assert stock_layers(slim.dequantize(best))
    average = tuner.oracle.get_trial("0").score
    assert result.score > average  # keras-tuner takes the mean of both executions, and keeps the model of the better


def test_each_trial_begins_with_the_weights_of_a_model_that_is_given(tmp_path):
    trained = build()
    hypermodel = hyper_model(trained, settings={"method": ["none"]}, budget=1000)
    hp = keras_tuner.HyperParameters()
    one, other = hypermodel.build(hp), hypermodel.build(hp)
    for model in (one, other):
        for mine, theirs in zip(model.weights, trained.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
            assert mine is not theirs
    assert one.optimizer is not other.optimizer
    assert (one.loss, float(one.optimizer.learning_rate)) == (trained.loss, pytest.approx(0.1))
    history = hypermodel.fit(hp, one, epochs=1, **fit_arguments())
    assert history.history["score"] == history.history["val_accuracy"]
    assert hypermodel.settings_of(hp) == {"method": "none"}
    assert not np.array_equal(one.weights[0], trained.weights[0])


def test_methods_and_hyperparameters_of_the_users_own_are_searched_too(tmp_path):
    class Noting(Method):
        spaces = {"ratio": [0.1, 0.2], "seen": 3}

        def callbacks(self, settings, training):
            seen.append((settings, training.first_epoch, training.epochs, training.steps))
            return []

        def is_done(self, callbacks, model):
            return False

    def build_with_rate(hp):
        model = build()
        model.optimizer.learning_rate = hp.Float("rate", 0.01, 0.1)
        return model

    seen = []
    hypermodel = hyper_model(build_with_rate, settings={"method": "noting"}, methods={"noting": Noting()})
    tuner = random_search(hypermodel, tmp_path, 1)
    with pytest.warns(SlimWarning, match="Trial 0 failed: Training ended before the model was as small"):
        tuner.search(epochs=2, **fit_arguments())
    (trial,) = tuner.oracle.trials.values()
    assert set(trial.hyperparameters.values) == {"rate", "slim/method", "slim/ratio", "slim/seen"}
    assert seen == [({"method": "noting", "ratio": trial.hyperparameters["slim/ratio"], "seen": 3}, 0, 2, 8)]


def test_what_is_wrong_ends_the_search_at_once(tmp_path):
    with pytest.raises(keras_tuner.errors.FatalValueError, match=r"'val_f1', which is not in the logs.*'val_accuracy'"):
        random_search(hyper_model(monitor="val_f1"), tmp_path / "a", 1).search(epochs=1, **fit_arguments())
    tuner = keras_tuner.RandomSearch(hyper_model(), "val_accuracy", max_trials=1, directory=tmp_path / "b")
    with pytest.raises(keras_tuner.errors.FatalValueError, match="Expected objective=hypermodel.objective"):
        tuner.search(epochs=1, **fit_arguments())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ration": 0.5}, r"argument `settings`.*'ratio'.*Received: settings='ration'. Did you mean 'ratio'\?"),
        ({"method": "prune", "bits": 4}, r"settings that the methods \['prune'\] read"),
        ({"method": "crop"}, r"settings\['method'\].*names among"),
        ({"ratio": (0.5, 0.2)}, r"settings\['ratio'\].*a range"),
    ],
)
def test_settings_that_nobody_reads_are_told(settings, message):
    with pytest.raises(ValueError, match=message):
        hyper_model(settings=settings)


def test_models_that_cannot_be_searched_are_told():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match="argument `build_or_model`"):
        hyper_model("model.keras")
    with pytest.raises(UnsupportedLayerError, match="keras_slim.functional"):
        hyper_model(Subclassed())
    with pytest.raises(ValueError, match="a model that is compiled"):
        hyper_model(keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="argument `budget`"):
        hyper_model(budget=0)


def test_a_hyper_model_trains_in_its_own_way(tmp_path):
    class Own(keras_tuner.HyperModel):
        def build(self, hp):
            return build()

        def fit(self, hp, model, *args, **kwargs):
            x, y = data()
            return model.fit(x, y, batch_size=hp.Choice("batch_size", [16]), **kwargs)

    class Steps(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            steps.append(self.params["steps"])

    steps = []
    tuner = random_search(hyper_model(Own()), tmp_path, 1)
    tuner.search(epochs=2, verbose=0, validation_data=fit_arguments()["validation_data"], callbacks=[Steps()])
    (result,) = read_trials(tuner).completed
    assert "batch_size" in result.settings
    assert steps == [4]  # 64 samples


def test_ranks_are_searched_too(tmp_path):
    keras.utils.set_random_seed(0)
    trained = build()
    trained.fit(**fit_arguments())
    settings = {**PRUNING, "method": ["factorize", "factorize+prune"], "energy": [0.4, 0.5], "ratio": 0.3}
    hypermodel = hyper_model(trained, settings=settings)
    tuner = random_search(hypermodel, tmp_path, 4)
    tuner.search(epochs=3, **fit_arguments())
    trials = read_trials(tuner)
    assert all(result.settings["energy"] in (0.4, 0.5) for result in trials.completed)
    assert len(trials.completed) == 4
    assert max(result.costs["params"] for result in trials.completed) < PARAMS
    best, (also_best,), (x, _) = hypermodel.best_model(tuner), tuner.get_best_models(), data()
    assert best.count_params() == trials.best.costs["params"]
    assert "b_factor_1" in {layer.name for layer in best.layers}
    assert stock_layers(best)
    np.testing.assert_array_equal(best.predict(x, verbose=0), also_best.predict(x, verbose=0))
