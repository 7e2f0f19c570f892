import json

import pytest


@pytest.fixture(scope="module")
def small_path(folder, model_path):
    from keras_slim.cli import main

    small, plan = str(folder / "small.keras"), str(folder / "plan.json")
    assert main(["prune", model_path, "--ratio", "0.5", "--output", small, "--plan-json", plan]) == 0
    return small


def test_a_page_and_a_card_are_written(prints, model_path, small_path, tflite_path, data_path, folder, tmp_path):
    page, card = tmp_path / "report.html", tmp_path / "README.md"
    words = ["--data", data_path, "--file-before", tflite_path, "--plan-json", folder / "plan.json"]
    text = prints("report", model_path, small_path, *words, "-o", page, "--output", card)
    for part in ("parameters", ".keras file", "float32 file", "accuracy, float32 file", f"Written to {page}, {card}"):
        assert part in text
    assert "its units are a model output" in page.read_text()
    assert "model.tflite" in page.read_text()
    assert "| parameters |" in card.read_text()


def test_json(prints, model_path, small_path, tmp_path):
    found = json.loads(prints("report", model_path, small_path, "--json", "-o", tmp_path / "report.json"))
    assert found == json.loads((tmp_path / "report.json").read_text())
    assert found["samples"] is None


def test_what_cannot_be_right_is_refused(fails, model_path, data_path, tmp_path):
    page = tmp_path / "report.html"
    assert "There is no file none.keras" in fails(2, "report", model_path, "none.keras", "-o", page)
    assert "There is no file none.tflite" in fails(
        2, "report", model_path, model_path, "--file", "none.tflite", "-o", page
    )
    assert "Keras cannot load" in fails(2, "report", model_path, data_path, "-o", page)
    assert ".html or .md or .json" in fails(2, "report", model_path, model_path, "-o", tmp_path / "report.pdf")
    text = fails(2, "report", model_path, model_path, "--plan-json", data_path, "-o", page)
    assert "argument --plan-json: expected a path that ends with .json" in text
    assert not page.exists()
