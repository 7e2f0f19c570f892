"""One warning of versions that nobody tried, at import; what was tried is what setup.cfg and tox.ini say."""

import configparser
import importlib.metadata
import pathlib
import re

import pytest
import since

from keras_slim import versions
from keras_slim.errors import SlimWarning

ROOT = pathlib.Path(__file__).parents[1]


def installed(monkeypatch, **found):
    monkeypatch.setattr(importlib.metadata, "version", found.__getitem__)


@pytest.mark.parametrize("version", ["3.12.4", "3.99.0.dev1", "4.0rc1", "nightly"])
def test_a_version_never_tried_is_told(monkeypatch, version):
    installed(monkeypatch, keras=version, tensorflow="2.20.1")
    with pytest.warns(SlimWarning, match=rf"keras {re.escape(version)}, but on 3\.\d+ to 3\.\d+") as told:
        versions.warn_of_untried()
    assert len(told) == 1


def test_nothing_is_said_of_versions_that_were_tried(monkeypatch):
    for keras, tensorflow in zip(*versions.TRIED.values(), strict=True):
        installed(monkeypatch, **{"keras": "{}.{}.7".format(*keras), "tensorflow": "{}.{}.0rc1".format(*tensorflow)})
        versions.warn_of_untried()


def test_nothing_is_said_of_a_package_of_another_name(monkeypatch):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    versions.warn_of_untried()


def test_the_page_of_backends_says_what_was_tried():
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    for name, (first, last) in zip(("Keras", "TensorFlow"), versions.TRIED.values(), strict=True):
        assert "| {} | {}.{} | {}.{} |\n".format(name, *first, *last) in page


def test_the_packages_wanted_begin_with_the_oldest_tried_and_tox_tries_it():
    setup, tox = configparser.ConfigParser(), configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    for name, ((major, minor), _) in versions.TRIED.items():
        assert f"\n{name}>={major}.{minor}\n" in setup["options"]["install_requires"] + "\n"
        assert f"\n{name}~={major}.{minor}.0\n" in tox["testenv:oldest"]["deps"] + "\n"


def test_what_older_versions_go_without_is_there():
    tests = pathlib.Path(__file__).parent
    written = "\n".join(path.read_text(encoding="utf-8") for path in tests.rglob("test_*.py"))
    functions = {name.partition("[")[0] for name in since.NEWER_TESTS}
    assert [name for name in sorted(functions) if f"def {name}(" not in written] == []
    assert [name for name in since.NEWER_MODULES if not (tests / name).exists()] == []
