import json

import pytest

from keras_slim.tuning import read_trials

RECORD = {
    "version": 1,
    "settings": {"method": "prune", "ratio": 0.5},
    "monitor": "val_accuracy",
    "mode": "max",
    "cost": "params",
    "budget": 100,
    "epoch": 3,
    "failure": "",
}


@pytest.fixture
def project(tmp_path):
    """Returns a function that writes a trial as keras-tuner and we do."""

    def write(number, metric, params, score=None, status="COMPLETED", message=None, **record):
        folder = tmp_path / f"trial_{number}"
        folder.mkdir()
        trial = {"trial_id": str(number), "status": status, "message": message, "hyperparameters": {"values": {}}}
        (folder / "trial.json").write_text(json.dumps(trial))
        if metric is not None:
            score = metric if score is None else score
            own = {**RECORD, "metric": metric, "score": score, "costs": {"params": params, "latency": 0.5}, **record}
            (folder / "compression.json").write_text(json.dumps(own))
        return tmp_path

    return write


def by_hand(points, sign):
    """Returns the names of points `(name, metric, cost)` that none beats, by trying all."""
    return {
        name
        for name, metric, cost in points
        if not any(
            sign * other >= sign * metric and smaller <= cost and (other, smaller) != (metric, cost)
            for _, other, smaller in points
        )
    }


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_no_trial_beats_one_of_the_pareto_front(project, mode, sign):
    points = [("0", 0.5, 90), ("1", 0.7, 120), ("2", 0.6, 130), ("3", 0.9, 300), ("4", 0.4, 80), ("5", 0.9, 310)]
    for name, metric, params in points:
        folder = project(name, metric, params, mode=mode)
    trials = read_trials(folder)
    assert {each.trial for each in trials.pareto()} == by_hand(points, sign)
    assert [each.costs["params"] for each in trials.pareto()] == sorted(
        each.costs["params"] for each in trials.pareto()
    )


def test_the_best_has_the_highest_score_not_the_highest_metric(project):
    project(0, 0.9, 300, score=0.1)
    trials = read_trials(project(1, 0.8, 90, score=0.8))
    assert trials.best.trial == "1"
    assert (trials.monitor, trials.cost, trials.budget) == ("val_accuracy", "params", 100)


def test_failed_trials_say_why_and_running_ones_do_not_count(project):
    project(0, 0.9, 90, status="RUNNING")
    project(1, 0.8, 95)
    project(2, 0.0, 90, status="FAILED", score=None, failure="the ratio is out of reach")
    project(3, None, None, status="FAILED", message="Traceback\n  a line\nValueError: no such layer\n")
    trials = read_trials(project(4, None, None, status="RUNNING"))
    assert [each.status for each in trials.results] == ["RUNNING", "COMPLETED", "FAILED", "FAILED"]
    assert [each.trial for each in trials.completed] == ["1"]
    assert [each.failure for each in trials.results[2:]] == ["the ratio is out of reach", "ValueError: no such layer"]
    assert "Trial 2 failed: the ratio is out of reach" in str(trials)
    with pytest.raises(ValueError, match=r"Trial 2 has no model.*out of reach"):
        trials.results[2].load_model()


def test_the_table_shows_settings_and_marks_the_front(project):
    project(0, 0.9, 1234, settings={"method": "prune", "ratio": 0.25})
    text = str(read_trials(project(1, 0.8, 1500, settings={"method": "quantize", "bits": 4})))
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "prune, ratio 0.25" in lines["0*"]
    assert "1,234" in lines["0*"]
    assert "0.500" in lines["0*"]
    assert "quantize, bits 4" in lines["1"]
    assert json.loads(json.dumps(read_trials(project(2, 0.7, 5)).to_dict()))["results"][2]["metric"] == 0.7


def test_the_picture_joins_the_front_and_shows_the_budget(project, tmp_path):
    for name, metric, params in [(0, 0.5, 90), (1, 0.7, 120), (2, 0.6, 130)]:
        folder = project(name, metric, params)
    figure = read_trials(folder).plot()
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert list(lines["none is both better and smaller"].get_xdata()) == [90, 120]
    assert list(lines["none is both better and smaller"].get_ydata()) == [0.5, 0.7]
    assert list(lines["trials"].get_xdata()) == [130]
    assert lines["budget"].get_xdata()[0] == 100
    assert figure.axes[0].get_xlabel() == "parameters"
    other = read_trials(folder).plot(of="latency").axes[0]
    assert other.get_xlabel() == "milliseconds of the exported file"
    assert "budget" not in [line.get_label() for line in other.lines]
    figure.savefig(tmp_path / "trials.png")


def test_what_is_not_there_is_told(project, tmp_path):
    with pytest.raises(ValueError, match=r"argument `tuner` of `read_trials`.*directory/project_name"):
        read_trials(tmp_path / "nothing")
    trials = read_trials(project(0, 0.5, 90, status="RUNNING"))
    with pytest.raises(ValueError, match="No trial has ended well yet"):
        trials.best  # noqa: B018
    with pytest.raises(ValueError, match=r"argument `of` of `pareto`.*macs"):
        read_trials(project(1, 0.5, 90)).pareto("macs")


def test_costs_that_are_not_known_are_none_in_json(project):
    trials = read_trials(project(0, 0.5, 90, costs={"params": 90, "latency": float("nan")}))
    text = json.dumps(trials.to_dict(), allow_nan=False)
    assert json.loads(text)["results"][0]["costs"] == {"params": 90, "latency": None}
