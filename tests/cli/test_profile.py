import json

import keras


def test_the_table(prints, model_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = prints("profile", model_path)
    assert text.splitlines()[0] == "Model 'small'"
    assert "hidden (Dense)" in text
    assert "global_average_pooling2d" not in text
    assert "global_average_pooling2d" in prints("profile", model_path, "--all")


def test_json(prints, model_path):
    cost = json.loads(prints("profile", model_path, "--json"))
    # 16 filters of 3x3 at 6x6 places, then 16 -> 24 -> 3
    assert cost["macs"] == 9 * 16 * 36 + 16 * 24 + 24 * 3
    assert cost["parameters"] == 10 * 16 + 17 * 24 + 25 * 3
    assert [layer["name"] for layer in cost["layers"]] == ["conv", "global_average_pooling2d", "hidden", "scores"]


def test_a_missing_model(fails, tmp_path):
    assert "There is no file" in fails(2, "profile", tmp_path / "model.keras")


def test_a_model_of_unknown_size(fails, tmp_path):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(2, 3)])
    model.save(tmp_path / "free.keras")
    assert "None" in fails(2, "profile", tmp_path / "free.keras")
