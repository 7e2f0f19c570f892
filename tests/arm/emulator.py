"""An emulated phone processor that runs LiteRT, fetched once into a cache of the user's; nothing is installed.

An emulator and a Python for ARM come from Debian, by an apt with a state of its own. LiteRT comes from PyPI, in the
very version of this environment.
"""

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading

import numpy as np
from arm import inside

PROCESSOR = "cortex-a76"
RELEASE = "trixie"  # with qemu 10: under the 7.2 of the release before, LiteRT crashes from 2.2 on
PYTHON = "3.13"  # that of the release
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
USUAL_MIRROR = "http://deb.debian.org/debian"
MOST_SECONDS_TO_FETCH = 180
MOST_SECONDS_TO_ANSWER = 60


class CannotBeFetchedError(Exception):
    """The emulator cannot be set up here; the message says why."""


class Emulator:
    """A process in the emulated processor, which answers for files.

    Args:
        home: Folder that `fetched` has returned.
    """

    def __init__(self, home):
        root = home / "root"
        self.process = subprocess.Popen(
            [home / "qemu-aarch64", "-cpu", PROCESSOR, "-L", root, root / f"usr/bin/python{PYTHON}", inside.__file__],
            env={"PYTHONHOME": str(root / "usr"), "PYTHONPATH": str(home / "site")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.machine, self.litert = self._hear().split()

    def answers(self, path, inputs):
        """Returns what `inside.answers` returns there."""
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(path, f"{folder}/model.tflite")
            np.savez(f"{folder}/inputs.npz", *inputs)
            self.process.stdin.write(f"{folder}\n")
            self.process.stdin.flush()
            self._hear()
            with np.load(f"{folder}/outputs.npz") as archive:
                return [archive[name] for name in archive.files]

    def close(self):
        """Ends the process."""
        self.process.communicate()

    def _hear(self):
        timer = threading.Timer(MOST_SECONDS_TO_ANSWER, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            raise RuntimeError(f"The process in the emulator ended with exit code {self.process.wait()}.")
        return line


def fetched():
    """Returns the folder with all that an `Emulator` needs, fetched if it is not there.

    Raises:
        CannotBeFetchedError: If this is no Linux on x86-64 with apt, or a registry cannot be reached.
    """
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise CannotBeFetchedError("needs Linux on x86-64")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "keras_slim")
    home = cache / f"arm-{RELEASE}-litert-{_version('ai-edge-litert')}"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "arm.lock"):
        if not home.is_dir():
            with tempfile.TemporaryDirectory(dir=cache) as scratch:
                _fetch(pathlib.Path(scratch), pathlib.Path(scratch, "home"))
                os.rename(f"{scratch}/home", home)
    return home


@contextlib.contextmanager
def _locked(path):
    import fcntl  # Unix alone has it

    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(scratch, home):
    root = home / "root"
    root.mkdir(parents=True)
    (root / "lib").symlink_to("usr/lib")
    for package in _debian_packages(scratch / "apt"):
        if package.name.startswith("qemu-user_"):
            _unpack_one(package, "./usr/bin/qemu-aarch64", home / "qemu-aarch64")
        else:
            _run("dpkg-deb", "--extract", package, root)
    _fetch_wheels(home / "site")


def _debian_packages(apt):
    """Downloads packages for ARM, with what they need, and the emulator for this machine; returns their paths."""
    for folder in ("lists/partial", "archives/partial"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} {RELEASE} main\n")
    settings = {
        "Acquire::Retries": 1,
        "Acquire::http::Timeout": 20,
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64,amd64",
        "APT::Sandbox::User": "",
        "Dir::State": apt,
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt,
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
    }
    command = ["apt-get", "--quiet", *(f"--option={key}={value}" for key, value in settings.items())]
    _run(*command, "--error-on=any", "update")
    wanted = ("python3", "libstdc++6", "qemu-user:amd64")
    _run(*command, "--download-only", "--no-install-recommends", "--yes", "install", *wanted)
    return sorted((apt / "archives").glob("*.deb"))


def _mirror():
    """Returns the mirror of Debian that apt is set to here, or the usual one."""
    sites = _run("apt-get", "indextargets", "--format", "$(SITE)").split()
    return next((site for site in sites if site.endswith("/debian")), USUAL_MIRROR)


def _unpack_one(package, name, path):
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpacking:
        with tarfile.open(fileobj=unpacking.stdout, mode="r|") as archive:
            member = next(each for each in archive if each.name == name)
            path.write_bytes(archive.extractfile(member).read())
        unpacking.stdout.read()
    path.chmod(0o755)


def _fetch_wheels(site):
    exactly = [f"{name}=={_version(name)}" for name in ("ai-edge-litert", "flatbuffers")]
    platforms = ("manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
    _run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", site),
        *("--no-deps", "--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON),
        *(f"--platform={name}" for name in platforms),
        *(*exactly, "numpy"),
    )


def _version(name):
    return importlib.metadata.version(name)


def _run(*command):
    """Returns what a command prints, or raises `CannotBeFetchedError` with the last line of what it complains of."""
    try:
        options = {"check": True, "capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        return subprocess.run(command, timeout=MOST_SECONDS_TO_FETCH, **options).stdout
    except FileNotFoundError as error:
        raise CannotBeFetchedError(f"needs {command[0]}") from error
    except subprocess.TimeoutExpired as error:
        name = pathlib.Path(command[0]).name
        raise CannotBeFetchedError(f"{name} took more than {MOST_SECONDS_TO_FETCH} seconds") from error
    except subprocess.CalledProcessError as error:
        words = (error.stderr or error.stdout).strip().splitlines()
        raise CannotBeFetchedError(f"{pathlib.Path(command[0]).name} failed: {words[-1] if words else ''}") from error
