"""The runtime for browsers: from a folder, the cache or the registry, and never anything but what was pinned."""

import base64
import contextlib
import hashlib
import http.server
import io
import shutil
import tarfile

import pytest
from phone_by_hand import in_background

from keras_slim.errors import ExportError
from keras_slim.phone import runtime


@pytest.fixture
def tarball(small_runtime, pinned, monkeypatch):
    """A package with the small runtime, whose hash is pinned."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in small_runtime.items():
            member = tarfile.TarInfo(f"package/wasm/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    monkeypatch.setattr(runtime, "TARBALL_SHA256", hashlib.sha256(content.getvalue()).hexdigest())
    return content.getvalue()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of its own, without a cache or a set-up of npm, and a registry that nobody serves."""
    for name in ("NPM_CONFIG_REGISTRY", "npm_config_registry", "NPM_CONFIG_USERCONFIG", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime, "DEFAULT_REGISTRY", "http://127.0.0.1:9")
    return tmp_path


@contextlib.contextmanager
def registry_of(content):
    """Serves one package, and gives the address of the registry and the paths that were asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if self.path == "/npm/@litertjs/core/-/core-2.5.3.tgz" else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = in_background(lambda: server.serve_forever(0.01))
        yield f"http://127.0.0.1:{server.server_port}/npm/", asked
        server.shutdown()
        thread.join()


def test_the_pins_are_of_one_package():
    assert len(runtime.SHA256) == 6
    assert all(len(digest) == 64 for digest in (*runtime.SHA256.values(), runtime.TARBALL_SHA256))
    digest = base64.b64decode(runtime.integrity("litert_wasm_internal.wasm").removeprefix("sha256-"))
    assert digest == bytes.fromhex("7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614")


def test_it_is_fetched_once(tarball, small_runtime, home, monkeypatch, capsys):
    with registry_of(tarball) as (address, asked):
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
        first = runtime.Runtime()
    assert len(asked) == 1
    assert f"Fetching LiteRT for browsers, @litertjs/core 2.5.3, 12 MB, once: {address}" in capsys.readouterr().err
    again = runtime.Runtime()  # nobody serves it now
    for name, content in small_runtime.items():
        assert first.plain(name) == again.plain(name) == content
    assert [path.name for path in (home / "cache" / "keras_slim").iterdir()] == [runtime.TARBALL]
    assert capsys.readouterr() == ("", "")


def test_a_damaged_cache_is_filled_anew(tarball, home, monkeypatch, capsys):
    path = runtime.cache_folder() / runtime.TARBALL
    path.parent.mkdir(parents=True)
    path.write_bytes(tarball[:-1])
    with registry_of(tarball) as (address, asked):
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
        runtime.Runtime()
    assert len(asked) == 1
    assert path.read_bytes() == tarball
    assert "is damaged, and is fetched anew" in capsys.readouterr().err


def test_a_wrong_hash_is_refused_and_not_kept(tarball, monkeypatch):
    with registry_of(tarball[:-1] + b"!") as (address, _):
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
        with pytest.raises(ExportError, match=rf"Expected SHA-256 {runtime.TARBALL_SHA256}\. Received: "):
            runtime.Runtime()
    assert not (runtime.cache_folder() / runtime.TARBALL).exists()


def test_without_network_it_says_how_to_get_it():
    with pytest.raises(ExportError, match=r"cannot be fetched from http://127\.0\.0\.1:9/@litertjs/core/-/core-2"):
        runtime.Runtime()
    with pytest.raises(ExportError, match=r"npm pack @litertjs/core@2\.5\.3`, then `tar xzf .*--runtime package/wasm"):
        runtime.Runtime()


def test_a_registry_without_the_package(monkeypatch):
    with registry_of(b"") as (address, _):
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", f"{address}elsewhere")
        with pytest.raises(ExportError, match="HTTP Error 404.*npm pack"):
            runtime.Runtime()


def test_a_cache_that_cannot_be_written_is_no_obstacle(tarball, small_runtime, home, monkeypatch, capsys):
    (home / "cache").write_text("a file where a folder should be")
    with registry_of(tarball) as (address, _):
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", address)
        loaded = runtime.Runtime()
    assert loaded.plain("litert_wasm_internal.js") == small_runtime["litert_wasm_internal.js"]
    assert "is not kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "npmrc", "expected"),
    [
        ({}, None, "http://127.0.0.1:9"),
        ({}, "fund=false\nregistry = https://one/\n", "https://one"),
        ({"NPM_CONFIG_REGISTRY": "https://two/"}, "registry=https://one", "https://two"),
        ({"npm_config_registry": "https://three"}, "", "https://three"),
        ({}, "; registry=https://no\n@litertjs:registry='https://four/x/'\nregistry=https://one", "https://four/x"),
    ],
)
def test_the_registry_is_that_of_npm(environment, npmrc, expected, home, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    if npmrc is not None:
        (home / ".npmrc").write_text(npmrc)
    assert runtime.registry() == expected


def test_npms_own_file_may_be_elsewhere(home, monkeypatch):
    (home / "other").write_text("registry=https://five")
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(home / "other"))
    assert runtime.registry() == "https://five"


def test_a_registry_that_is_no_web_address(monkeypatch):
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "file:///etc")
    with pytest.raises(ExportError, match="https:// or http:// address. Received: file:"):
        runtime.Runtime()


@pytest.mark.parametrize("inside", [".", "wasm", "package/wasm", "@litertjs/core/wasm"])
def test_a_folder(inside, runtime_folder, small_runtime, tmp_path):
    shutil.copytree(runtime_folder, tmp_path / "given" / inside)
    loaded = runtime.Runtime(tmp_path / "given")
    assert {name: loaded.plain(name) for name in small_runtime} == small_runtime


def test_a_folder_without_it(tmp_path):
    with pytest.raises(ExportError, match=r"no litert_wasm_internal\.js\. Get it"):
        runtime.Runtime(tmp_path)
    with pytest.raises(ValueError, match=r"There is no folder .*nowhere\. Get it"):
        runtime.Runtime(tmp_path / "nowhere")


def test_a_folder_of_another_version(runtime_folder):
    path = runtime_folder / "litert_wasm_threaded_internal.wasm"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ExportError, match=r"threaded_internal\.wasm is not what @litertjs/core 2\.5\.3 holds"):
        runtime.Runtime(runtime_folder)
    path.unlink()
    with pytest.raises(ExportError, match="cannot be read"):
        runtime.Runtime(runtime_folder)
