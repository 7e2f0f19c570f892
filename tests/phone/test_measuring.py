"""From the call to the report: what is shown meanwhile, and how it ends."""

import _thread
import io
import json
import signal
import sys
import threading
import urllib.error

import pytest
from phone_by_hand import PhoneByHand, in_background
from rich.console import Console

from keras_slim import phone as phones
from keras_slim.phone import display, measuring


@pytest.fixture
def answering(monkeypatch):
    """Has a phone open whatever address is shown."""
    said = []

    def say_where(server, console):
        said.append(server.url)
        in_background(lambda: PhoneByHand(server.url).open().work())

    monkeypatch.setattr(display, "_say_where", say_where)
    return said


def test_measure(answering, files, model, x, runtime_folder, capsys):
    report = phones.measure(list(files.values()), model, x, runtime=runtime_folder, address="127.0.0.1", timeout=20)
    assert [file.reference for file in report.phones[0].files] == ["Keras", "Keras"]
    assert report.check() is report
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[0] for line in lines if "agrees" in line] == [
        "Phone 1: Chrome 126 on Android: None.tflite: agrees with Keras",
        "Phone 1: Chrome 126 on Android: int8.tflite: agrees with Keras",
    ]
    assert json.loads(json.dumps(report.to_dict()))["phones"][0]["files"][0]["agrees"]


def test_errors_name_the_function_that_was_called(files):
    with pytest.raises(ValueError, match="`threads` of `measure`"):
        phones.measure([files[None]], threads=0)
    with pytest.raises(ValueError, match="`timeout` of `measure`"):
        phones.measure([files[None]], timeout=0)


def test_silence(files, x, runtime_folder, capsys):
    with pytest.raises(TimeoutError, match="Open http://127.0.0.1:"):
        phones.measure([files[None]], None, x, runtime=runtime_folder, address="127.0.0.1", timeout=0.1, verbose=0)
    assert capsys.readouterr() == ("", "")


def interrupted(server):
    """Presses Ctrl-C in a moment, and returns what comes of the measurement."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # workers of pytest-xdist do not listen
    threading.Timer(0.3, _thread.interrupt_main).start()
    try:
        return measuring.measure_on(server, 2, 20, None)
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_before_anything_came(files, x, runtime_folder):
    server = phones.PhoneServer([files[None]], None, x, runtime=runtime_folder, address="127.0.0.1")
    with pytest.raises(KeyboardInterrupt):
        interrupted(server)
    with pytest.raises(urllib.error.URLError):
        PhoneByHand(server.url).open()


def test_ctrl_c_ends_it_with_what_there_is(files, x, runtime_folder):
    server = phones.PhoneServer([files[None]], None, x, runtime=runtime_folder, address="127.0.0.1").start()
    PhoneByHand(server.url).open().work()
    server.start = lambda: server
    report = interrupted(server)
    assert report.phones[0].agrees
    with pytest.raises(urllib.error.URLError):
        PhoneByHand(server.url).open()


def test_a_table_grows_on_a_terminal(serve):
    server = serve()
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100)
    with display.shown(server, console) as watch:
        watch(server.report)
        phone = PhoneByHand(server.url).open()
        watch(server.report)
        phone.work()
        watch(server.report)
    assert "Waiting for a phone. Ctrl-C ends it." in text.getvalue()
    assert "Chrome 126 on Android, at work" in text.getvalue()
    assert "None.tflite" in text.getvalue()
    assert server.url in text.getvalue().replace("\n", "")


def test_lines_elsewhere_come_once(serve):
    server = serve()
    text = io.StringIO()
    with display.shown(server, Console(file=text, width=40)) as watch:
        PhoneByHand(server.url).open().work()
        for _ in range(3):
            watch(server.report)
    assert text.getvalue().count("None.tflite") == 1
    assert f"{server.url}\n" in text.getvalue()
    assert display._qr_code(server.url) in text.getvalue()


def test_a_qr_code_or_how_to_have_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "segno", None)
    assert "pip install 'keras_slim[phone]'" in display._qr_code("http://192.168.1.20/")


def test_a_qr_code():
    segno = pytest.importorskip("segno", reason="comes with the extra `phone`")
    address = "http://192.168.1.20:40123/0123456789abcdef/"
    halves = {"█": (0, 0), "▀": (0, 1), "▄": (1, 0), " ": (1, 1)}  # what is drawn is white
    rows = []
    for line in display._qr_code(address).strip("\n").splitlines():
        rows += zip(*(halves[letter] for letter in line), strict=True)
    expected = [tuple(row) for row in segno.make(address, error="l", micro=False).matrix_iter(border=4)]
    assert rows[: len(expected)] == expected


def test_threads_need_a_secure_page(serve):
    for options, expected in (({"threads": 4}, True), ({}, False)):
        text = io.StringIO()
        with display.shown(serve(**options), Console(file=text, width=200)):
            assert ("serve by https" in text.getvalue()) == expected
