"""LiteRT for browsers, `@litertjs/core`: from a folder, or fetched once from the npm registry, and checked by hash.

A phone's browser needs a loader (JavaScript) and the runtime itself (WebAssembly), in one of three builds. They are not
part of this library: the package has the Apache-2.0 licence without its text. What a file does not hash to is refused,
wherever it came from, since the way in which the page calls it is not documented and was checked on this version.
"""

import base64
import functools
import gzip
import hashlib
import io
import os
import pathlib
import sys
import tarfile
import urllib.request

from keras_slim.errors import ExportError
from keras_slim.whole_files import written_whole

PACKAGE, VERSION = "@litertjs/core", "2.5.3"
TARBALL = f"litertjs-core-{VERSION}.tgz"
TARBALL_SHA256 = "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd"
SHA256 = {
    "litert_wasm_compat_internal.js": "4d8f894b7883654fd6e8439730aa41e79ceaab7d19184fc4f1f0b0f1a2a2c8a5",
    "litert_wasm_compat_internal.wasm": "5255c8ad06eabdbd2522cdebf6b22fc10faf74625c23a49b9e072570cd1fa41c",
    "litert_wasm_internal.js": "68efb69f770e3f76aff36a377de629ca496c131b86ac0f0f4b592a1543a898eb",
    "litert_wasm_internal.wasm": "7280cf4471774867e385e6c3cd53e2b45e2975b80fea338fff4ef359b0865614",
    "litert_wasm_threaded_internal.js": "92fe7a720c6deedaa1194c011c79a005ea4f6fc98f533b661cf7900760ab4849",
    "litert_wasm_threaded_internal.wasm": "b5e54eca10f043497edf9a02186332707cae260c550d7ea22b2cae55669596cf",
}
"""The files a page may ask for: the build of its processor, one without relaxed SIMD, one with threads."""

DEFAULT_REGISTRY = "https://registry.npmjs.org"
_MOST_BYTES = 64 * 2**20
_SECONDS = 30
_LEVEL = 6  # of gzip: 9.4 MB become 2.9 MB in half a second


class Runtime:
    """The files of the runtime, checked, as they travel to a phone.

    Args:
        folder: Folder of the package, or its `wasm` folder. None takes it from the user's cache, which is filled once
            from the npm registry.

    Raises:
        ExportError: If a file is missing or is not the one that was pinned, or the registry cannot be reached.
    """

    def __init__(self, folder=None):
        self._contents = _from_tarball(_cached_tarball()) if folder is None else _from_folder(folder)

    @functools.cache  # noqa: B019  one runtime lives as long as its server
    def gzipped(self, name):
        """Returns the content of a file, compressed."""
        return gzip.compress(self._contents[name], _LEVEL, mtime=0)

    def plain(self, name):
        """Returns the content of a file as it is, for what does not read gzip."""
        return self._contents[name]


def integrity(name):
    """Returns the hash of a file in the form in which a page gives it to `fetch`."""
    return f"sha256-{base64.b64encode(bytes.fromhex(SHA256[name])).decode()}"


def cache_folder():
    """Returns the folder that keeps the package for this user: `keras_slim` where the system has its caches."""
    if os.name == "nt" and "LOCALAPPDATA" in os.environ:
        return pathlib.Path(os.environ["LOCALAPPDATA"]) / "keras_slim"
    root = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(root) / "keras_slim"


def registry():
    """Returns the address of the npm registry: as npm itself is set up, by environment or `.npmrc`; else npm's own."""
    settings = _read_npmrc()
    scope = PACKAGE.partition("/")[0]
    named = {name.lower(): value for name, value in os.environ.items() if value}
    found = settings.get(f"{scope}:registry") or named.get("npm_config_registry") or settings.get("registry")
    return (found or DEFAULT_REGISTRY).rstrip("/")


def _read_npmrc():
    path = os.environ.get("NPM_CONFIG_USERCONFIG") or pathlib.Path.home() / ".npmrc"
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith((";", "#")))
    return {name.strip(): value.strip().strip("\"'") for name, sign, value in pairs if sign}


def _from_folder(folder):
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}. {_how_to_get_it()}")
    places = (folder, folder / "wasm", folder / "package" / "wasm", folder / PACKAGE / "wasm")
    place = next((place for place in places if (place / "litert_wasm_internal.js").is_file()), None)
    if place is None:
        raise ExportError(f"{folder} does not hold the runtime: no litert_wasm_internal.js. {_how_to_get_it()}")
    return {name: _checked(place / name, _read(place / name), digest) for name, digest in SHA256.items()}


def _from_tarball(content):
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        return {name: archive.extractfile(f"package/wasm/{name}").read() for name in SHA256}


def _cached_tarball():
    """Returns the content of the package, out of the cache, or out of the registry and then into the cache."""
    path = cache_folder() / TARBALL
    if path.is_file():
        content = _read(path)
        if _digest(content) == TARBALL_SHA256:
            return content
        print(f"{path} is damaged, and is fetched anew.", file=sys.stderr)
    content = _fetch(f"{registry()}/{PACKAGE}/-/{PACKAGE.partition('/')[2]}-{VERSION}.tgz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as scratch:
            pathlib.Path(scratch).write_bytes(content)
    except (OSError, ValueError) as error:  # it works all the same, this time
        print(f"The runtime is not kept in {path.parent}: {error}", file=sys.stderr)
    return content


def _fetch(address):
    print(f"Fetching LiteRT for browsers, {PACKAGE} {VERSION}, 12 MB, once: {address}", file=sys.stderr)
    if not address.startswith(("https://", "http://")):
        raise ExportError(f"Expected the npm registry to be an https:// or http:// address. Received: {address}.")
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            content = answer.read(_MOST_BYTES)
    except (OSError, ValueError) as error:  # no network, no such package, an answer that breaks off, a bad address
        raise ExportError(
            f"The runtime for browsers cannot be fetched from {address}: {error}. {_how_to_get_it()}"
        ) from error
    return _checked(address, content, TARBALL_SHA256)


def _checked(source, content, digest):
    received = _digest(content)
    if received != digest:
        raise ExportError(
            f"{source} is not what {PACKAGE} {VERSION} holds. Expected SHA-256 {digest}. Received: {received}. "
            f"It is not used. {_how_to_get_it()}"
        )
    return content


def _read(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error}. {_how_to_get_it()}") from error


def _digest(content):
    return hashlib.sha256(content).hexdigest()


def _how_to_get_it():
    return (
        f"Get it on a machine with network, `npm pack {PACKAGE}@{VERSION}`, then `tar xzf {TARBALL}`, and give the "
        f"folder: --runtime package/wasm, or runtime='package/wasm'. Or put {TARBALL} itself into {cache_folder()}."
    )
