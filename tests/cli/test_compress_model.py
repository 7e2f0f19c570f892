import json

import keras
import numpy as np
import pytest

import keras_slim as slim
from keras_slim.cli import main

RECIPE = """\
compile: {optimizer: sgd, loss: sparse_categorical_crossentropy, metrics: [accuracy]}
steps:
- prune: {ratio: 0.3}
- share: {bits: 3}
- fine_tune: {epochs: 1}
- export: {quantize: int8}
- compress:
layers: {scores: null}
"""


@pytest.fixture
def recipe_path(tmp_path):
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path / "recipe.yaml"


def test_a_recipe_becomes_a_folder(prints, model_path, data_path, recipe_path, tmp_path):
    out = tmp_path / "out"
    text = prints("compress-model", model_path, "--recipe", recipe_path, "--data", data_path, "-o", out)
    assert f"The last 8 samples of {data_path} are for the metric" in text
    assert "Step 1 of 5, `prune`: accuracy" in text
    assert text.count("Step ") == 5
    names = ["model.keras", "model.slim.h5", "model.tflite", "recipe.yaml", "report.json", "report.txt"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "report.txt").read_text().strip() in text
    before, after = (keras.saving.load_model(path, compile=False) for path in (model_path, out / "model.keras"))
    assert after.count_params() < before.count_params()
    for one, other in zip(before.get_layer("scores").weights, after.get_layer("scores").weights, strict=True):
        np.testing.assert_array_equal(one, other)
    x = np.load(data_path)["x"]
    slim.verify_tflite(after, out / "model.tflite", x)
    np.testing.assert_array_equal(slim.load_compressed(out / "model.slim.h5")(x), after(x))


def test_as_json_and_with_other_samples_for_the_metric(prints, model_path, data_path, tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps({"metric": "accuracy", "steps": [{"share": {"bits": 2}}]}))
    words = "--recipe", tmp_path / "recipe.json", "--validation", data_path, "-o", tmp_path / "out", "--json"
    told = json.loads(prints("compress-model", model_path, *words))
    assert [step["name"] for step in told["steps"]] == ["share"]
    assert (told["metric"], told["files"]["model.keras"]) == ("accuracy", str(tmp_path / "out" / "model.keras"))


def test_a_model_is_taken_as_it_is_compiled_in_its_file(prints, model_path, data_path, tmp_path):
    model = keras.saving.load_model(model_path)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "compiled.keras")
    (tmp_path / "recipe.yaml").write_text("steps: [{fine_tune: {epochs: 1}}]")
    words = "--recipe", tmp_path / "recipe.yaml", "--data", data_path, "-o", tmp_path / "out"
    assert "`fine_tune`: loss " in prints("compress-model", tmp_path / "compiled.keras", *words)


def test_a_drop_that_cannot_be_kept_is_a_failure_and_writes_nothing(fails, model_path, data_path, tmp_path):
    model = keras.saving.load_model(model_path)
    x = np.load(data_path)["x"]
    np.savez(tmp_path / "own.npz", x=x, y=model(x))  # what the model is right about
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "metric: mae\nmax_drop: 0.0\nsteps: [{prune: {ratio: 0.8, align: 1, min_units: 1, compensate: false}}]"
    )
    words = "--recipe", recipe, "--data", tmp_path / "own.npz", "-o", tmp_path / "out", "--json"
    assert "misses that by" in fails(1, "compress-model", model_path, *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.npz", "recipe.yaml"]


def test_the_example_is_a_recipe_that_runs(capsys, prints, tmp_path):
    with pytest.raises(SystemExit) as leaving:
        main(["compress-model", "--example"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    (tmp_path / "recipe.yaml").write_text(text)
    recipe = slim.Recipe.from_file(tmp_path / "recipe.yaml")
    assert {step.alias for step in recipe.steps} == set(slim.recipes.steps.names())
    assert recipe.compile["loss"] in text


@pytest.mark.parametrize(
    ("recipe", "words", "message"),
    [
        ("steps: [{prune: {ration: 0.5}}]", [], "Did you mean 'ratio'"),
        ("steps: [share]\nlayers: {scorse: null}", [], "Did you mean 'scores'"),
        ("steps: [quantize]", [], "inputs, `data=x`, for step 1, `quantize`"),
        ("steps: [{fine_tune: {epochs: 1}}]", ["--data", "DATA"], "is not compiled"),
        ("steps: [share]", ["--data", "none.npz"], "There is no file none.npz"),
        (None, [], "the path of a file"),
    ],
)
def test_bad_usage_writes_nothing(recipe, words, message, fails, model_path, data_path, tmp_path):
    if recipe:
        (tmp_path / "recipe.yaml").write_text(recipe)
    words = [data_path if word == "DATA" else word for word in words]
    output = ("-o", tmp_path / "out", "--json")
    assert message in fails(2, "compress-model", model_path, "--recipe", tmp_path / "recipe.yaml", *words, *output)
    assert not (tmp_path / "out").exists()


def test_a_recipe_ends_as_recipes_do(fails):
    words = "compress-model", "model.keras", "--recipe", "recipe.txt", "-o", "out"
    assert "ends with .yaml or .yml or .json" in fails(2, *words)
