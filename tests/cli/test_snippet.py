import pytest

from keras_slim.export import snippet_tflite


@pytest.mark.parametrize("language", ["kotlin", "swift", "react-native"])
def test_the_lines_are_those_of_python(language, prints, tflite_path):
    assert prints("snippet", tflite_path, "--language", language) == f"{snippet_tflite(tflite_path, language)}\n"


def test_bad_usage(fails, tflite_path, tmp_path):
    assert "--language" in fails(2, "snippet", tflite_path)
    assert "invalid choice: 'java'" in fails(2, "snippet", tflite_path, "--language", "java")
    assert "There is no file" in fails(2, "snippet", tmp_path / "no.tflite", "--language", "swift")
