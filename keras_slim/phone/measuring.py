"""Files on phones: a server to open on them, and the report of what they said."""

import collections
import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence

import keras
from rich.console import Console

from keras_slim.errors import SlimWarning, invalid_argument
from keras_slim.export.samples import gathered
from keras_slim.export.verification import check_tolerance
from keras_slim.phone.address import check_address, own_address
from keras_slim.phone.certificate import make_context
from keras_slim.phone.display import shown
from keras_slim.phone.report import PhoneReport
from keras_slim.phone.runtime import Runtime
from keras_slim.phone.server import PageServer
from keras_slim.phone.trial import Trial
from keras_slim.validation import check_count, check_positive

MOST_FILES = 16
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_CLOSE = 0.05
_SECONDS_TO_FINISH = 2.0
_FRAMES = {"PhoneServer": 4, "PhoneServer.run": 4, "measure": 5}  # between the user's line and a warning


class PhoneServer:
    """Files on a page that a phone's browser opens, runs and reports on.

    It serves from `start` to `close`, or inside `with`; phones may come and go meanwhile.

    Args:
        files: Paths of `.tflite` files, at most 16; all are given the same samples. With `stays` there may be none yet.
        model: The Keras model whose answers are the right ones; or a list with a model, or None, for each file. None
            takes the answers of LiteRT on this computer. A file that does not answer like the one model on this
            computer either is taken for one of another model, with a warning, and compared with LiteRT here.
        data: Samples: an array, or a list or dictionary of arrays like the inputs, without labels; or batches as `fit`
            takes them. The first 128 are used, less where they are large. None draws 16 random ones.
        threads: Number of threads to use where the page is a secure one (https, or localhost); elsewhere browsers
            allow one. The report says how many there were.
        https: Whether to serve by https, with a certificate made on the spot, which the phone asks to be trusted. It
            makes threads and WebGPU possible.
        tolerance: Least agreement in decibels; None takes that of what each file holds, as `verify_tflite` does.
        runtime: Folder with the files of `@litertjs/core`, the runtime for browsers. None takes it from the user's
            cache, which is filled once from the npm registry.
        address: The one IPv4 address of this computer to bind to. None takes the one it has on the network.
        port: The port. 0 takes a free one.
        stays: Whether pages stay open when they are through, for the files that `run` gives them next.

    Raises:
        FileNotFoundError: If a file is missing.
        ExportError: If a file is no LiteRT file, no file belongs to the model, or the runtime is not to be had.
        ValueError: If an argument is wrong or the samples do not fit.
        MissingExtraError: If `https` needs a package that is not installed.

    Example:

    >>> with PhoneServer(["net.tflite"], model=model, data=x) as server:  # doctest: +SKIP
    ...     print(server.url)
    ...     report = server.wait(phones=1)
    """

    _owner = "PhoneServer"

    def __init__(
        self,
        files: Sequence[str | os.PathLike] = (),
        model: keras.Model | Sequence[keras.Model | None] | None = None,
        data: object = None,
        *,
        threads: int = 1,
        https: bool = False,
        tolerance: float | None = None,
        runtime: str | os.PathLike | None = None,
        address: str | None = None,
        port: int = 0,
        stays: bool = False,
    ):
        owner = self._owner
        files = _check_files(files, owner, least=0 if stays else 1)
        check_count(threads, "threads", owner)
        check_count(port, "port", owner, minimum=0)
        check_tolerance(tolerance, owner)
        address = own_address() if address is None else check_address(address, "address", owner)
        self._tolerance = tolerance
        trials = _make_trials(files, model, data, tolerance, owner)
        context, self.fingerprint = make_context(address) if https else (None, None)
        try:
            self._server = PageServer(trials, Runtime(runtime), threads, address, port, context, stays)
        except (OSError, OverflowError) as error:
            raise ValueError(
                f"Cannot listen at {address}, port {port}: {error}. Expected a free port and an address of this "
                "computer. Leave them out to have them chosen."
            ) from error
        self.threads, self.stays = threads, stays
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_SECONDS_TO_CLOSE,), daemon=True)

    @property
    def url(self) -> str:
        """The address of the page. Whoever has it can open it: it holds a random word made for this server."""
        return self._server.url

    @property
    def report(self) -> PhoneReport:
        """What phones have said so far."""
        return self._server.visits.report()

    def start(self) -> "PhoneServer":
        """Starts to serve, in the background, and returns itself."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stops, and lets no phone in any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.finish(_SECONDS_TO_FINISH)
        self._server.server_close()

    def wait(
        self, phones: int = 1, timeout: float | None = None, watch: Callable[[PhoneReport], None] | None = None
    ) -> PhoneReport:
        """Waits until so many phones are through and no other is still at work.

        Args:
            phones: Number of phones.
            timeout: Seconds to wait at most. None waits for as long as it takes.
            watch: Function that is called with the report so far, about twice a second. Optional.

        Returns:
            The `PhoneReport`.

        Raises:
            TimeoutError: If fewer phones are through by then.
        """
        check_count(phones, "phones", "PhoneServer.wait")
        end = None if timeout is None else time.monotonic() + check_positive(timeout, "timeout", "PhoneServer.wait")
        while True:
            report = self.report
            if watch is not None:
                watch(report)
            states = collections.Counter(phone.state for phone in report.phones)
            if states["finished"] >= phones and not states["at work"]:
                return report
            left = _SECONDS_BETWEEN_LOOKS if end is None else min(_SECONDS_BETWEEN_LOOKS, end - time.monotonic())
            if left <= 0:
                raise TimeoutError(
                    f"Expected {phones} to be through within {timeout:g} seconds. Received: {states['finished']} of "
                    f"{len(report.phones)} through. Open {self.url} on a phone in the same network, and see that no "
                    "firewall stands between."
                )
            self._server.visits.wait_for_change(left)

    def run(
        self,
        files: Sequence[str | os.PathLike],
        model: keras.Model | Sequence[keras.Model | None] | None = None,
        data: object = None,
        *,
        phones: int = 1,
        timeout: float | None = None,
    ) -> PhoneReport:
        """Has phones whose pages have stayed run other files, and waits for them.

        Args:
            files: As for `PhoneServer`.
            model: As for `PhoneServer`.
            data: As for `PhoneServer`.
            phones: As for `wait`.
            timeout: As for `wait`.

        Returns:
            The `PhoneReport` of these files.

        Raises:
            RuntimeError: If the server was made without `stays`, or does not serve.
            FileNotFoundError, ExportError, ValueError: As `PhoneServer`.
            TimeoutError: As `wait`.
        """
        owner = "PhoneServer.run"
        if not self.stays:
            raise RuntimeError(f"`{owner}` needs pages that stay. Make the server so: `PhoneServer(..., stays=True)`.")
        if not self._thread.is_alive():
            raise RuntimeError(
                f"`{owner}` needs a server that serves. Call it after `start`, before `close`, or in `with`."
            )
        check_count(phones, "phones", owner)
        if timeout is not None:
            check_positive(timeout, "timeout", owner)
        self._server.give(_make_trials(_check_files(files, owner), model, data, self._tolerance, owner))
        return self.wait(phones, timeout)

    def __enter__(self) -> "PhoneServer":
        return self.start()

    def __exit__(self, *_) -> None:
        self.close()


def measure(
    files: Sequence[str | os.PathLike],
    model: keras.Model | Sequence[keras.Model | None] | None = None,
    data: object = None,
    *,
    phones: int = 1,
    timeout: float | None = None,
    verbose: int = 1,
    **options,
) -> PhoneReport:
    """Runs files on your phone, in its browser: how they agree, how long they take.

    Prints an address and a QR code. Open it on a phone in the same network: its browser runs the files by LiteRT's
    runtime for browsers and sends back what they answer and how long they take. Nothing is installed on the phone, and
    nothing leaves the network. Times in the browser are two to five times those of the native runtime; how files
    compare with each other on that phone is what they show.

    Args:
        files: Paths of `.tflite` files, at most 16; all are given the same samples.
        model: The Keras model whose answers are the right ones, or a list with one, or None, for each file; None takes
            the answers of LiteRT on this computer.
        data: Samples, as for `export_tflite`; None draws random ones.
        phones: Number of phones to wait for. Others that are still at work then are waited for too.
        timeout: Seconds to wait at most. None waits until Ctrl-C, which ends it with what there is.
        verbose: 1 shows the address, a QR code, and a table that grows; 0 nothing, but that the runtime is fetched, the
            first time.
        **options: `threads`, `https`, `tolerance`, `runtime`, `address` and `port`, as for `PhoneServer`.

    Returns:
        A `PhoneReport`; its `check` raises where a phone does not answer as it should.

    Raises:
        FileNotFoundError: If a file is missing.
        ExportError: If a file is no LiteRT file, no file belongs to the model, or the runtime is not to be had.
        ValueError: If an argument is wrong or the samples do not fit.
        MissingExtraError: If `https` needs a package that is not installed.
        TimeoutError: If too few phones are through in time.
        KeyboardInterrupt: If Ctrl-C came before a phone had said anything.

    Example:

    >>> report = slim.phone.measure(["dense.tflite", "pruned.tflite"], data=x)  # doctest: +SKIP
    >>> [file.latency.median_ms for file in report.phones[0].files]  # doctest: +SKIP
    [3.1, 1.4]
    """
    check_count(phones, "phones", "measure")
    if timeout is not None:
        check_positive(timeout, "timeout", "measure")
    server = _ServerOfMeasure(files, model, data, **options)
    return measure_on(server, phones, timeout, Console() if verbose else None)


class _ServerOfMeasure(PhoneServer):
    """The same, whose errors name the function that was called."""

    _owner = "measure"


def measure_on(server, phones, timeout, console) -> PhoneReport:
    """Opens a server, waits for phones, shows on a console of rich (if any) what comes, and closes it.

    Ctrl-C ends it with what there is.

    Raises:
        KeyboardInterrupt: If Ctrl-C came before there was anything.
        TimeoutError: If too few phones are through in time.
    """
    with server, shown(server, console) as watch:
        try:
            return server.wait(phones, timeout, watch)
        except KeyboardInterrupt:
            report = server.report
            if not any(phone.files for phone in report.phones):
                raise
            return report


def _check_files(files, owner, least=1):
    if isinstance(files, str | os.PathLike):
        hint = f"For one file, give [{os.fspath(files)!r}]."
        raise TypeError(invalid_argument("files", owner, expected="a list of paths", received=files, hint=hint))
    files = [os.fspath(path) for path in files]
    if not least <= len(files) <= MOST_FILES:
        raise ValueError(invalid_argument("files", owner, expected=f"{least} to {MOST_FILES} paths", received=files))
    return files


def _make_trials(files, model, data, tolerance, owner):
    is_one = model is None or isinstance(model, keras.Model)
    models = [model] * len(files) if is_one else list(model)
    if len(models) != len(files):
        expected = f"one model, or a list of {len(files)}, one for each file"
        raise ValueError(invalid_argument("model", owner, expected=expected, received=f"{len(models)} models"))
    data = gathered(data)  # once for all: a generator gives its batches to the first that asks
    trials = [Trial(path, each, data, tolerance, owner) for path, each in zip(files, models, strict=True)]
    strangers = [trial for trial in trials if not trial.agrees_here]
    if strangers and (not is_one or len(strangers) == len(trials)):
        strangers[0].here.check(strangers[0].least_db)
    for trial in strangers:
        _compare_with_litert(trial, owner)
    _tell_apart(trials)
    return trials


def _compare_with_litert(trial, owner):
    warnings.warn(
        f"{trial.path} does not answer like the model on this computer either ({trial.here.sqnr_db:.1f} dB), and is "
        "taken for a file of another model: the phone is compared with LiteRT here. Give a model for each file to have "
        "each compared with its own.",
        SlimWarning,
        stacklevel=_FRAMES[owner],
    )
    trial.take_answers_of_litert()


def _tell_apart(trials):
    names = collections.Counter(trial.name for trial in trials)
    for trial in trials:
        if names[trial.name] > 1:
            trial.name = trial.path
