import pathlib
import re
import subprocess
import sys
import warnings

import pytest

import keras_slim
from keras_slim.cli import main, profile
from keras_slim.cli.command_line import COMMANDS, _make_parser
from keras_slim.errors import ExportError, SlimWarning, UnreachableTargetError

NAMES = (
    "quickstart",
    "profile",
    "prune",
    "export",
    "verify",
    "evaluate",
    "benchmark",
    "phone",
    "micro",
    "snippet",
    "compress-model",
    "compress",
    "decompress",
    "inspect",
    "report",
    "migrate",
)


def printed_help(capsys, *words):
    with pytest.raises(SystemExit) as leaving:
        main([*words, "--help"])
    assert leaving.value.code == 0
    return capsys.readouterr().out


def test_the_version(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out == f"keras-slim {keras_slim.__version__}\n"


def test_the_help_names_every_command_and_the_exit_codes(capsys):
    text = printed_help(capsys)
    assert len(COMMANDS) == len(NAMES)
    for name in (*NAMES, "exit codes:"):
        assert re.search(rf"^ *{name}", text, re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_has_an_example(name, capsys):
    text = printed_help(capsys, name)
    assert re.search(rf"examples?:\n  keras-slim {name} ", text)
    assert "--debug" in text


@pytest.mark.parametrize("words", [[], ["prnue"], ["profile"], ["profile", "model.keras", "--unknown"]])
def test_bad_usage_leaves_with_2(words, capsys):
    with pytest.raises(SystemExit) as leaving:
        main(words)
    assert leaving.value.code == 2
    assert "usage: keras-slim" in capsys.readouterr().err


@pytest.fixture
def failing(monkeypatch):
    """Makes `keras-slim profile` raise an error."""

    def fail_with(error):
        def run(args):
            raise error

        monkeypatch.setattr(profile, "run", run)

    return fail_with


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("this is why"), 2),
        (UnreachableTargetError("this is why"), 1),
        (ExportError("this is why"), 1),
        (OSError("this is why"), 1),
    ],
)
def test_an_error_is_one_message_and_an_exit_code(error, code, failing, capsys):
    failing(error)
    assert main(["profile", "model.keras"]) == code
    assert capsys.readouterr().err == "keras-slim profile: error: this is why\n"


def test_a_bug_is_named_as_such(failing, capsys):
    failing(KeyError("gone"))
    assert main(["profile", "model.keras"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("keras-slim profile: unexpected error: KeyError: 'gone'\n")
    assert "--debug" in err
    assert "Traceback" not in err


def test_debug_shows_where_an_error_comes_from(failing, capsys, monkeypatch):
    failing(ValueError("this is why"))
    assert main(["profile", "model.keras", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("KERAS_SLIM_DEBUG", "1")
    main(["profile", "model.keras"])
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("KERAS_SLIM_DEBUG", "0")
    main(["profile", "model.keras"])
    assert "Traceback" not in capsys.readouterr().err


def test_an_interruption_is_no_error(failing, capsys):
    failing(KeyboardInterrupt())
    assert main(["profile", "model.keras"]) == 130
    assert capsys.readouterr().err == "keras-slim profile: interrupted.\n"


def test_warnings_are_one_line_each(monkeypatch, capsys):
    def run(args):
        warnings.simplefilter("default")
        warnings.warn("mind the gap", SlimWarning, stacklevel=1)

    monkeypatch.setattr(profile, "run", run)
    assert main(["profile", "model.keras"]) == 0
    assert capsys.readouterr().err == "keras-slim: warning: mind the gap\n"


def test_the_help_waits_for_no_heavy_import():
    # The package's front door is left out, so that only what the command line itself imports is seen.
    code = f"""
import sys, types
package = types.ModuleType("keras_slim")
package.__path__ = [{str(pathlib.Path(keras_slim.__file__).parent)!r}]
sys.modules["keras_slim"] = package
import keras_slim.cli
try:
    keras_slim.cli.main(["prune", "--help"])
except SystemExit:
    print(sorted({{"keras", "tensorflow", "numpy", "rich"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_option_is_answered_with_the_usage_of_its_command(capsys):
    with pytest.raises(SystemExit):
        main(["profile", "model.keras", "--unknown"])
    err = capsys.readouterr().err
    assert err.startswith("usage: keras-slim profile ")
    assert err.endswith("keras-slim profile: error: unrecognized arguments: --unknown\n")


@pytest.mark.parametrize("name", NAMES)
def test_options_of_one_kind_have_one_name(name):
    (options,) = (each for each in _make_parser()._actions if each.dest == "command")
    found = {each.dest: each.option_strings for each in options.choices[name]._actions}
    assert found.get("output", ["-o", "--output"]) == ["-o", "--output"]
    if name != "migrate":  # whose model cannot say before how large its images are
        assert ("data" in found) == ("pixels" in found)
