import pytest

from keras_slim.whole_files import written_whole


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "plan.json"
    for text in ("first", "second"):
        with written_whole(path, "save") as scratch, open(scratch, "w") as file:
            file.write(text)
    assert path.read_text() == "second"
    assert [each.name for each in tmp_path.iterdir()] == ["plan.json"]


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("old")

    def write_half():
        with written_whole(path, "save") as scratch:
            with open(scratch, "w") as file:
                file.write("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_half()
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["plan.json"]


def test_the_ending_is_kept(tmp_path):
    with written_whole(tmp_path / "model.keras", "save") as scratch:
        assert scratch.endswith("model.keras")
        open(scratch, "w").close()


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="`path` of `save`.*folder that exists"),
        written_whole(tmp_path / "missing" / "plan.json", "save"),
    ):
        pass
