import json

import keras
import numpy as np
import pytest

from keras_slim.cli import prune
from keras_slim.pruning import PruningPlan
from keras_slim.pruning.measures import measures


@pytest.fixture
def output(tmp_path):
    return tmp_path / "pruned.keras"


def widths(path):
    model = keras.saving.load_model(path, compile=False)
    return model.get_layer("conv").filters, model.get_layer("hidden").units


def test_the_costs_are_those_of_the_library():
    assert sorted(prune.COSTS) == measures.names()


def test_a_smaller_model_is_written(prints, model_path, output):
    text = prints("prune", model_path, "--ratio", "0.4", "--output", output)
    assert "units 40 -> 24" in text
    assert "Groups (units kept of all):" in text
    assert f"Wrote {output}" in text
    assert sum(widths(output)) == 24


def test_json(prints, model_path, output):
    done = json.loads(prints("prune", model_path, "--ratio", "0.4", "--output", output, "--json"))
    assert done["output"] == str(output)
    assert PruningPlan.from_json(json.dumps(done["plan"])).after.units == 24


def test_the_plan_is_written(prints, model_path, output, tmp_path):
    prints("prune", model_path, "--ratio", "0.4", "--output", output, "--plan-json", tmp_path / "plan.json")
    assert PruningPlan.from_json((tmp_path / "plan.json").read_text()).after.units == 24


def test_guards_and_ignored_layers(prints, model_path, output):
    words = ["--align", 1, "--min-units", 2, "--max-ratio", 1, "--ignore", "conv"]
    prints("prune", model_path, "--ratio", "0.5", "--output", output, *words)
    assert widths(output) == (16, 12)


def test_what_the_ratio_is_of(prints, model_path, output):
    words = ["--of", "params", "--align", 1, "--criterion", "l1", "--debias", "rank"]
    plan = json.loads(prints("prune", model_path, "--ratio", "0.5", "--output", output, *words, "--json"))["plan"]
    assert plan["settings"] == {"ratio": 0.5, "of": "params", "criterion": "l1", "debias": "rank"}
    assert plan["after"]["params"] <= plan["before"]["params"] / 2


def test_a_criterion_that_looks_at_inputs(prints, model_path, data_path, output):
    words = ["--criterion", "mean_activation", "--data", data_path]
    assert "Wrote" in prints("prune", model_path, "--ratio", "0.3", "--output", output, *words)


def test_a_criterion_that_looks_at_targets(prints, model_path, data_path, output):
    words = ["--criterion", "taylor", "--data", data_path, "--loss", "sparse_categorical_crossentropy"]
    assert "Wrote" in prints("prune", model_path, "--ratio", "0.3", "--output", output, *words)


def test_a_debiasing_that_looks_at_targets(prints, model_path, data_path, output):
    words = ["--debias", "fitted", "--data", data_path, "--loss", "sparse_categorical_crossentropy"]
    assert "Wrote" in prints("prune", model_path, "--ratio", "0.3", "--output", output, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ratio", "1.5"], "--ratio: expected a share in (0, 1), received 1.5"),
        (["--ratio", "0.5", "--of", "seconds"], "--of: invalid choice"),
        (["--ratio", "0.5", "--criterion", "tailor"], "Did you mean 'taylor'?"),
        (["--ratio", "0.5", "--debias", "zscore"], "Did you mean 'z_score'?"),
        (["--ratio", "0.5", "--criterion", "taylor"], "Give it with --data PATH"),
        (["--ratio", "0.5", "--debias", "fitted"], "--debias fitted looks at data. Give it with --data PATH"),
        (["--ratio", "0.5", "--ignore", "cnov"], "cnov"),
        (["--ratio", "0.5", "--align", "0"], "--align: expected an integer of at least 1"),
    ],
)
def test_bad_usage(words, message, fails, model_path, output):
    assert message in fails(2, "prune", model_path, "--output", output, *words)
    assert not output.exists()


def test_a_loss_is_asked_for(fails, model_path, data_path, output):
    words = ["--ratio", "0.5", "--criterion", "taylor", "--data", data_path]
    assert "Name it with --loss" in fails(2, "prune", model_path, "--output", output, *words)


def test_an_unknown_loss_is_refused(fails, model_path, data_path, output):
    words = ["--ratio", "0.5", "--criterion", "taylor", "--data", data_path, "--loss", "no_such_loss"]
    assert "no_such_loss" in fails(2, "prune", model_path, "--output", output, *words)


def test_targets_are_asked_for(fails, model_path, output, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((4, 8, 8, 1)))
    words = ["--ratio", "0.5", "--criterion", "taylor", "--data", tmp_path / "x.npz"]
    assert "has none" in fails(2, "prune", model_path, "--output", output, *words)


def test_samples_that_do_not_fit_are_refused(fails, model_path, output, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((4, 5)))
    words = ["--ratio", "0.5", "--criterion", "apoz", "--data", tmp_path / "x.npz"]
    assert "(4, 5)" in fails(2, "prune", model_path, "--output", output, *words)


def test_a_ratio_out_of_reach_is_a_failure(fails, model_path, output):
    message = fails(1, "prune", model_path, "--ratio", "0.9", "--output", output, "--max-ratio", "0.5")
    assert "at most" in message
    assert not output.exists()


def test_an_output_that_cannot_be_written_is_refused_before_any_work(fails, tmp_path):
    words = ["prune", tmp_path / "no.keras", "--ratio", "0.5", "--output"]
    assert "folder that exists" in fails(2, *words, tmp_path / "missing" / "pruned.keras")
    assert "ends with .keras" in fails(2, *words, tmp_path / "pruned.h5")
