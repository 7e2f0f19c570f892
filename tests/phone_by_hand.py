"""A phone of a few lines of Python: asks a server what to do, runs the files in LiteRT, and tells what they answer."""

import contextlib
import json
import secrets
import struct
import threading
import time
import urllib.error
import urllib.request

import numpy as np
from ai_edge_litert.interpreter import Interpreter

AGENT = (
    "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
)


class PhoneByHand:
    """A phone that has opened a page.

    Args:
        url: The address of the page.
        spoil: Function of the bytes of all outputs of a file to what is sent in their place.
    """

    def __init__(self, url, spoil=bytes):
        self.url, self.spoil = url, spoil
        self.name = secrets.token_hex(16)

    def open(self):
        """Loads the page, for the first time or anew."""
        self.plan = json.loads(self.get(f"plan?phone={self.name}"))
        return self

    def work(self):
        """Runs all files, and returns what the server said of each."""
        return [self.send(index) for index in range(len(self.plan["files"]))]

    def stay(self, **changes):
        """Runs all files, those that come next, and so on, until the server has gone."""
        with contextlib.suppress(OSError):
            while True:
                for index in range(len(self.open().plan["files"])):
                    self.send(index, **{key: change(self.plan["files"][index]) for key, change in changes.items()})
                while json.loads(self.get(f"round?phone={self.name}"))["round"] == self.plan["round"]:
                    time.sleep(0.01)

    def send(self, index, **changes):
        """Runs one file, and returns what the server said of it."""
        return json.loads(self.post("report", self.message(index, **changes)))

    def message(self, index, answers=None, **changes):
        """Returns the body that tells of one file."""
        fields = {
            "phone": self.name,
            "turn": self.plan["turn"],
            "file": index,
            "engine": "WebAssembly",
            "threads": 1,
            "left": len(self.plan["files"]) - index - 1,
            "first_ms": 9.0,
            "runs": 10,
            "batches": [10.0, 20.0, 30.0],
        }
        if answers is None:
            answers = self.spoil(self._answers(index))
        text = json.dumps(fields | changes).encode()
        return struct.pack("<I", len(text)) + text + answers

    def get(self, path):
        """Returns what is at a path below the page."""
        return self._ask(urllib.request.Request(self.url + path, headers={"User-Agent": AGENT}))

    def post(self, path, body):
        """Sends a body to a path below the page."""
        return self._ask(urllib.request.Request(self.url + path, body, {"User-Agent": AGENT}))

    def _ask(self, request):
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def _answers(self, index):
        file = self.plan["files"][index]
        runner = Interpreter(model_content=self.get(f"file/{index}")).get_signature_runner()
        interpreter = Interpreter(model_content=self.get(f"file/{index}"))
        interpreter.allocate_tensors()
        details = runner.get_input_details() | runner.get_output_details()
        inputs, answers = self.get(f"inputs/{index}"), []
        assert len(inputs) == file["samples"] * sum(each["bytes"] for each in file["inputs"])
        for _ in range(file["samples"]):
            for each in file["inputs"]:
                kind = details[each["name"]]
                piece, inputs = inputs[: each["bytes"]], inputs[each["bytes"] :]
                interpreter.set_tensor(kind["index"], np.frombuffer(piece, kind["dtype"]).reshape(kind["shape"]))
            interpreter.invoke()
            answers += [interpreter.get_tensor(details[each["name"]]["index"]).tobytes() for each in file["outputs"]]
        return b"".join(answers)


def status_of(call, *arguments):
    """Returns the HTTP status and the text with which a server refuses."""
    try:
        call(*arguments)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    return 200, ""


def in_background(function):
    """Starts a function in a thread, and returns the thread."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread
