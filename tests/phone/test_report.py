"""What phones have said, in words: nothing in it that a phone may choose reaches the terminal as it is."""

import dataclasses
import re

import pytest

from keras_slim.export import Agreement, OutputAgreement
from keras_slim.phone import BrowserLatency, FileOnPhone, Phone, PhoneReport
from keras_slim.phone.message import clean
from keras_slim.phone.visits import describe


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (
            "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 Chrome/126.0.0.0 Mobile Safari/537.36",
            "Chrome 126 on Android",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1",
            "Safari 17 on iPhone",
        ),
        ("Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) CriOS/126.0 Mobile Safari/604.1", "Chrome 126 on iPad"),
        ("Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0", "Firefox 127 on Android"),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-S911B) SamsungBrowser/25.0 Chrome/121.0 Mobile Safari/537.36",
            "Samsung Internet 25 on Android",
        ),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/126.0 Safari/537.36 Edg/126.0", "Edge 126 on Windows"),
        ("Chrome/\x1b[31m on Linux", "Chrome on Linux"),
        ("Chrome/" + "9" * 500, "Chrome on an unknown system"),
        ("", "a browser on an unknown system"),
    ],
)
def test_the_name_of_a_phone(agent, expected):
    assert describe(agent) == expected


def test_foreign_texts_are_short_and_printable():
    assert clean("a\n\tb\x1b[2J\u202e\x00c") == "a b [2J c"
    assert len(clean("x" * 10_000)) == 300
    assert clean("grün 電話") == "grün 電話"


def failed(error):
    return FileOnPhone("/tmp/a.tflite", "a.tflite", 10, None, "WebAssembly", 1, "Keras", 60.0, error=error)


def test_a_table_fits_a_terminal_of_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    output = OutputAgreement("a", 1.0, 1.0, 0.01, max_abs=1.0, max_abs_error=0.03, step=0.0, same_class=1.0)
    agreement = Agreement(16, (output,), "int8", {"CONV_2D": 1}, 1)
    latency = BrowserLatency(2.008, 3.013, 15.155, 100, 10, "WebAssembly", 1)
    file = dataclasses.replace(failed(""), bytes=13_080, agreement=agreement, latency=latency)
    file = dataclasses.replace(file, name="digits-float32.tflite", least_db=10.0)
    rows = str(PhoneReport((Phone("Phone 1", "finished", (file,)),))).splitlines()
    first, second = rows[-4:-2]
    assert re.search("digits-float32.tflite +13,080 +agrees +40.0 +100.0% +2.008 +3.013 +15.155$", first)
    assert re.search("WebAssembly, 1 thread +with Keras$", second)


def test_a_table_takes_no_orders(monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    phone = Phone("Phone 1: [bold red]x[/] on Android", "finished", (failed("[link=http://x]here[/link] :boom:"),))
    text = str(PhoneReport((phone,)))
    assert "[bold red]x[/]" in text
    assert "[link=http" in text
    assert "\x1b" not in text


def test_a_phone_that_has_not_finished_does_not_agree():
    good = FileOnPhone("a", "a", 1, None, "WebGPU", 1, "Keras", 60.0, skipped="no WebGPU")
    assert Phone("x", "finished", (good,)).agrees
    assert not Phone("x", "gone", (good,)).agrees
    assert not Phone("x", "finished", (good, failed("broken"))).agrees
    assert str(PhoneReport(())) == "No phone has opened the page."


def test_latency_of_batches():
    latency = BrowserLatency.of_batches([10.0, 30.0, 20.0, 40.0, 50.0], 5, 7.5, "WebAssembly", 4)
    assert (latency.median_ms, latency.first_ms, latency.runs, latency.batches) == (6.0, 7.5, 25, 5)
    assert latency.p90_ms == pytest.approx(9.2)  # of 2, 4, 6, 8, 10
    assert (
        str(latency)
        == "6.000 ms median, 90 % under 9.200, first 7.500 (25 runs, in the browser, WebAssembly, 4 threads)"
    )
