"""The server: one page and one script for phones on the local network, and nothing else.

It binds to one address, and a random word in the path keeps strangers out. What can be asked for is a table made
beforehand, so that no path of the disk can be reached; what can be sent is a result, which stays in memory. Bodies,
phones, results and connections at once are bounded, and whoever is silent or slow is hung up on.
"""

import base64
import contextlib
import hashlib
import hmac
import http.server
import importlib.resources
import json
import re
import secrets
import socket
import sys
import threading
import time
import urllib.parse
from http import HTTPStatus

from keras_slim.phone.message import MOST_JSON, check_phone, read_message
from keras_slim.phone.runtime import SHA256, VERSION, integrity
from keras_slim.phone.visits import SECONDS_ALIVE, NotAccepted, Visits

SECONDS_EACH = 2.0
"""How long each file is timed on the phone, about."""

_SILENCE = 20.0  # seconds without a byte
_SECONDS_TO_ASK = 20.0  # with TLS's greeting
_SECONDS_TO_SEND = 120.0  # a result
_SECONDS_TO_LOAD = 600.0  # a file
_SECONDS_BETWEEN_LOOKS = 0.01
_MOST_CONNECTIONS = 64
_MOST_BODIES = 4  # read at the same time, since each is held in memory
_TYPES = {"js": "text/javascript; charset=utf-8", "wasm": "application/wasm"}


class PageServer(http.server.ThreadingHTTPServer):
    """Serves the page, the files and the runtime, and takes results.

    Args:
        trials: The `Trial` of each file.
        runtime: The `Runtime`.
        threads: Number of threads that the page is to use.
        address: The address to bind to.
        port: The port; 0 takes a free one.
        context: `ssl.SSLContext` to speak https; None speaks http.
        stays: Whether pages are to stay, and ask for other files when they are through.
    """

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, trials, runtime, threads, address, port, context=None, stays=False):
        self.runtime, self.threads, self.stays = runtime, threads, stays
        self.token = secrets.token_hex(8)
        self.round = 0
        self.giving = threading.Lock()
        self.give(trials)
        self.policy = _policy(self.resources[""][1])
        self.bodies = threading.BoundedSemaphore(_MOST_BODIES)
        self._context = context
        self._connections = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._ends = {}  # when each connection is hung up on
        super().__init__((address, port), _Handler)

    @property
    def url(self):
        """The address of the page, with the word that opens it."""
        address, port = self.server_address[:2]
        return f"{'https' if self._context else 'http'}://{address}:{port}/{self.token}/"

    def give(self, trials):
        """Gives phones these files in place of those before."""
        resources = _resources(trials)
        with self.giving:  # a page is told of those before or of these, not of some of both
            self.trials, self.visits, self.resources = trials, Visits(trials), resources
            self.round += 1

    def plan(self, turn):
        """Returns what a page is to do, as JSON can hold it."""
        return {
            "turn": turn,
            "round": self.round,
            "stays": self.stays,
            "version": VERSION,
            "threads": self.threads,
            "seconds": SECONDS_EACH,
            "alive": SECONDS_ALIVE,
            "integrity": {name: integrity(name) for name in SHA256},
            "files": [_plan_of(trial) for trial in self.trials],
        }

    def server_bind(self):
        """Binds, without asking the network for this computer's name as the standard library does."""
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        """Answers in a thread of its own, or hangs up when there are too many."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started
            self._connections.release()
            raise

    def process_request_thread(self, request, client_address):
        """Answers one request, and counts its connection out."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def finish_request(self, request, client_address):
        """Greets by TLS first, here in the thread, where a silent caller holds up nobody else."""
        request.settimeout(_SILENCE)
        if self._context is None:
            with self._limited(request):
                super().finish_request(request, client_address)
            return
        secured = self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        with secured, self._limited(secured):
            secured.do_handshake()
            super().finish_request(secured, client_address)
            with contextlib.suppress(OSError, ValueError):
                secured.unwrap()

    def finish(self, seconds):
        """Waits until what was asked is answered, at most so long: a phone wants to hear of its last file, too."""
        end = time.monotonic() + seconds
        while self._ends and time.monotonic() < end:
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def allow(self, connection, seconds):
        """Lets a connection last so long from now on."""
        self._ends[connection] = time.monotonic() + seconds

    @contextlib.contextmanager
    def _limited(self, connection):
        self.allow(connection, _SECONDS_TO_ASK)
        try:
            yield
        finally:
            del self._ends[connection]

    def service_actions(self):
        """Hangs up on those whose time is over, however busy they look: called by the standard library all along."""
        now = time.monotonic()
        for connection, end in list(self._ends.items()):
            if end < now:
                with contextlib.suppress(OSError):  # whoever is gone already
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # beneath TLS, which another thread is using

    def handle_error(self, request, client_address):
        """Says nothing about callers that hang up, are too slow or do not like the certificate."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    """One request: each connection carries one."""

    server: PageServer

    def do_GET(self):
        self._respond(self._get, _SECONDS_TO_LOAD)

    def do_POST(self):
        self._respond(self._post, _SECONDS_TO_SEND)

    def _respond(self, respond, seconds):
        path, _, query = self.path.partition("?")
        parts = path.split("/", 2)
        if len(parts) < 2 or not hmac.compare_digest(parts[1].encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        if len(parts) == 2:  # typed, without the last stroke
            self._send(HTTPStatus.MOVED_PERMANENTLY, b"", "text/plain", Location=f"/{self.server.token}/")
            return
        self.server.allow(self.connection, seconds)
        try:
            respond(parts[2], query)
        except NotAccepted as reason:
            self._refuse(HTTPStatus.CONFLICT, str(reason))
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))

    def _get(self, path, query):
        resources = self.server.resources
        if path in resources:
            kind, content = resources[path]
            self._send(HTTPStatus.OK, content, kind)
        elif path.removeprefix("runtime/") in SHA256 and path.startswith("runtime/"):
            self._send_runtime(path.removeprefix("runtime/"))
        elif path == "plan":
            with self.server.giving:
                turn = self.server.visits.join(_phone_in(query), self.headers.get("User-Agent", ""))
                plan = self.server.plan(turn)
            self._send_json(plan)
        elif path == "alive":
            self.server.visits.hear(_phone_in(query))
            self._send_json({})
        elif path == "round":
            self._send_json({"round": self.server.round})
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def _post(self, path, _):
        if path != "report":
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        visits = self.server.visits
        sizes = visits.answer_sizes
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,12}", length):
            self._refuse(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > 4 + MOST_JSON + max(sizes, default=0):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif not self.server.bodies.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            try:
                self._take(read_message(self._read(int(length)), sizes), visits)
            finally:
                self.server.bodies.release()

    def _take(self, message, visits):
        file = visits.take(message)
        self._send_json({"verdict": file.verdict, "agrees": file.agrees, "rows": file.rows()})

    def _read(self, length):
        """Returns a body, or raises what a connection that breaks raises: it is hung up on."""
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the body broke off")
        return body

    def _send_runtime(self, name):
        kind = _TYPES[name.rpartition(".")[2]]
        keep = {"Cache-Control": "private, max-age=86400, immutable"}
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            self._send(HTTPStatus.OK, self.server.runtime.gzipped(name), kind, **keep, **{"Content-Encoding": "gzip"})
        else:
            self._send(HTTPStatus.OK, self.server.runtime.plain(name), kind, **keep)

    def _send_json(self, value):
        self._send(HTTPStatus.OK, json.dumps(value).encode(), "application/json")

    def _refuse(self, status, text=""):
        self._send(status, (text or status.phrase).encode(), "text/plain; charset=utf-8")

    def _send(self, status, content, kind, **headers):
        self.send_response(status)
        fixed = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": self.server.policy,
            "Cross-Origin-Embedder-Policy": "require-corp",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in (fixed | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def send_error(self, code, message=None, explain=None):
        """Refuses in a few words what the standard library found wrong with a request."""
        self._refuse(HTTPStatus(code))

    def version_string(self):
        """Tells strangers no versions."""
        return "keras-slim"

    def log_message(self, *_):
        """Says nothing: the table shows what matters."""


def _resources(trials):
    """Returns what a page may ask for, by path: pairs of a type and a content."""
    page, script = (
        importlib.resources.files("keras_slim.phone").joinpath("page", name).read_bytes()
        for name in ("index.html", "page.js")
    )
    resources = {"": ("text/html; charset=utf-8", page), "page.js": (_TYPES["js"], script)}
    for index, trial in enumerate(trials):
        resources[f"file/{index}"] = ("application/octet-stream", trial.content)
        resources[f"inputs/{index}"] = ("application/octet-stream", trial.inputs)
    return resources


def _policy(page):
    """Returns what the page may do: run our script and the runtime, have its own style, talk to this server."""
    style = page.partition(b"<style>")[2].partition(b"</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    return (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
        f"style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _plan_of(trial):
    return {
        "name": trial.name,
        "bytes": len(trial.content),
        "precision": trial.file.quantize or "float32",
        "samples": trial.num_samples,
        "inputs": [{"name": name, "bytes": size} for name, size in trial.input_sizes.items()],
        "outputs": [{"name": name, "bytes": size} for name, size in trial.output_sizes.items()],
        "gpu": trial.runs_on_gpu,
        "pad": trial.pad,
    }


def _phone_in(query):
    return check_phone(urllib.parse.parse_qs(query).get("phone", [""])[0])
