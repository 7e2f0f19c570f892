"""One search in three processes, with keras-tuner's own chief and workers."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest
from searching import PARAMS

from keras_slim.tuning import CompressionHyperModel, read_trials

pytest.importorskip("keras_tuner", reason="`tox -e tuning` has it")
pytest.importorskip("tensorboard", reason="`tox -e tuning` has it")

SCRIPT = """
import os, pathlib, sys, time
import keras_tuner
from searching import PRUNING, build, fit_arguments
from keras_slim.tuning import CompressionHyperModel

settings = {**PRUNING, "ratio": [0.3, 0.35, 0.4, 0.45, 0.99], "max_ratio": 0.6}
hypermodel = CompressionHyperModel(build, 150, settings=settings, exports=False)
tuner = keras_tuner.RandomSearch(
    hypermodel, hypermodel.objective, max_trials=5, max_consecutive_failed_trials=9, seed=1, directory=sys.argv[1]
)
folder, name = pathlib.Path(sys.argv[1]), os.environ["KERASTUNER_TUNER_ID"]
(folder / f"{name}.ready").touch()
while name != "chief" and len(list(folder.glob("worker*.ready"))) < 2:  # else one may have done all
    time.sleep(0.1)
tuner.search(epochs=3, **fit_arguments())
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest.mark.slow
def test_a_chief_and_two_workers_share_a_search(tmp_path):
    here = pathlib.Path(__file__).parents[1]
    shared = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(here.parent), str(here)]),
        "KERASTUNER_ORACLE_IP": "127.0.0.1",
        "KERASTUNER_ORACLE_PORT": str(free_port()),
    }
    processes = {}
    try:
        for name in ("chief", "worker0", "worker1"):
            environment = {**shared, "KERASTUNER_TUNER_ID": name}
            command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
            with open(tmp_path / f"{name}.txt", "w") as text:
                processes[name] = subprocess.Popen(command, env=environment, stdout=text, stderr=subprocess.STDOUT)
        for name, process in processes.items():
            assert process.wait(timeout=300) == 0, (tmp_path / f"{name}.txt").read_text()
    finally:
        for process in processes.values():
            process.kill()
    trials = read_trials(tmp_path / "untitled_project")
    assert len(trials.results) == 5
    ratios = {each.settings["ratio"]: each for each in trials.results}
    assert {round(ratio, 2) for ratio in ratios} == {0.3, 0.35, 0.4, 0.45, 0.99}
    (failed,) = (each for each in trials.results if each.status == "FAILED")
    assert failed.settings["ratio"] == pytest.approx(0.99)
    assert "as far as the guards" in failed.failure  # which keras-tuner's messages between processes leave out
    for each in trials.completed:
        assert each.costs["params"] <= PARAMS * (1 - each.settings["ratio"]) + 1e-3
        assert each.load_model().count_params() == each.costs["params"]
    assert len(trials.completed) == 4
    assert CompressionHyperModel.best_model(None, tmp_path / "untitled_project").count_params() <= PARAMS * 0.7
    for name in ("worker0", "worker1"):  # keras-tuner writes them after a trial
        assert (tmp_path / "untitled_project" / f"{name}.json").exists()
    told = [(tmp_path / f"{name}.txt").read_text().count(f"Trial {failed.trial} failed: ") for name in processes]
    assert sum(told) == 1
