"""What a server lets in and out: a page, files, a runtime, and results; nothing else, and not more than it can bear."""

import gzip
import hashlib
import http.client
import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
from phone_by_hand import PhoneByHand, in_background, status_of

from keras_slim.phone import PhoneServer, message, server, visits


@pytest.fixture
def served(serve):
    return serve()


@pytest.fixture
def phone(served):
    return PhoneByHand(served.url).open()


def request(served, method, path, body=None, headers=()):
    """Sends a request as it stands, without what a client would put right, and returns status and answer."""
    parts = urllib.parse.urlsplit(served.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in dict(headers).items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def path_of(served):
    return urllib.parse.urlsplit(served.url).path


def is_well(served):
    """Whether a phone is served as ever."""
    return PhoneByHand(served.url).open().work()[0]["agrees"]


def connect(served):
    parts = urllib.parse.urlsplit(served.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def test_a_phone_answers_like_litert_here(serve, files, x):
    served = serve([files[None], files["int8"]])
    phone = PhoneByHand(served.url).open()
    outcomes = phone.work()
    assert [outcome["verdict"] for outcome in outcomes] == ["agrees with LiteRT here"] * 2
    report = served.wait(timeout=5)
    assert report.phones[0].name == "Phone 1: Chrome 126 on Android"
    for file, size in zip(report.phones[0].files, (4, 1), strict=True):
        assert file.agreement.sqnr_db == 150
        assert file.agreement.samples == len(x)
        assert (file.latency.median_ms, file.latency.first_ms, file.latency.runs) == (2.0, 9.0, 30)
        assert file.latency.p90_ms == pytest.approx(2.8)
        assert phone.plan["files"][report.phones[0].files.index(file)]["outputs"][0]["bytes"] == 3 * size
    assert report.check() is report


def test_answers_are_compared_with_those_of_keras(serve, files, model):
    served = serve([files["int8"]], model)
    PhoneByHand(served.url).open().work()
    (file,) = served.report.phones[0].files
    assert file.verdict == "agrees with Keras"
    assert 15 < file.agreement.sqnr_db < 100  # rounded to 8 bits, which LiteRT here does too


def test_what_comes_back_wrong_is_no_agreement(serve):
    served = serve()

    def spoil(answers):
        return (np.frombuffer(answers, "float32") * 1.01).astype("float32").tobytes()  # 40 dB, where 60 are expected

    (outcome,) = PhoneByHand(served.url, spoil).open().work()
    assert not outcome["agrees"]
    assert outcome["verdict"] == "does NOT agree with LiteRT here"
    report = served.wait(timeout=5)
    assert report.phones[0].files[0].agreement.sqnr_db == pytest.approx(40, abs=0.1)
    with pytest.raises(Exception, match="40.0 dB with LiteRT here where at least 60 is expected"):
        report.check()


def test_answers_of_not_a_number_are_no_agreement(serve):
    served = serve()
    PhoneByHand(served.url, lambda answers: np.full(len(answers) // 4, np.nan, "float32").tobytes()).open().work()
    assert not served.report.phones[0].files[0].agrees


def test_a_file_that_fails_on_the_phone(serve, files):
    served = serve([files[None], files["int8"]])
    phone = PhoneByHand(served.url).open()
    phone.send(0, answers=b"", error="\x1b[31mAborted(OOM)\x07\n")
    phone.send(1)
    report = served.wait(timeout=5)
    failed, worked = report.phones[0].files
    assert failed.error == "[31mAborted(OOM)"
    assert not failed.agrees
    assert worked.agrees
    with pytest.raises(Exception, match="Aborted"):
        report.check()


def test_what_is_not_run_is_no_disagreement(serve):
    served = serve()
    phone = PhoneByHand(served.url).open()
    phone.send(0, left=1)
    phone.send(0, answers=b"", engine="WebGPU", skipped="WebGPU lacks some of its operations.", left=0)
    assert [file.verdict for file in served.wait(timeout=5).check().phones[0].files] == [
        "agrees with LiteRT here",
        "not run",
    ]


def test_the_page_may_run_our_script_and_nothing_else(served):
    with urllib.request.urlopen(served.url, timeout=10) as answer:
        page = answer.read().decode()
        headers = dict(answer.headers)
    assert '<script src="page.js" defer>' in page
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';")
    assert "connect-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert "http" not in policy
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Server"] == "keras-slim"


def test_page_and_script_ask_nobody_else(phone):
    for text in (phone.get("").decode(), phone.get("page.js").decode()):
        assert not re.search(r"""https?:|['"`(]//""", text)


def test_the_runtime_goes_out_compressed(served, small_runtime):
    for name, content in small_runtime.items():
        asked = urllib.request.Request(f"{served.url}runtime/{name}", headers={"Accept-Encoding": "gzip, br"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            body = answer.read()
            assert answer.headers["Content-Encoding"] == "gzip"
            assert "immutable" in answer.headers["Cache-Control"]
        assert gzip.decompress(body) == content
        assert request(served, "GET", f"{path_of(served)}runtime/{name}") == (200, content)


@pytest.mark.parametrize("token", ["", "0" * 16, "{token}0", "{short}", "{upper}", "{token}%00", "é" * 8, "page.js"])
def test_a_bad_token(served, token):
    good = path_of(served).strip("/")
    bad = token.format(token=good, short=good[:-1], upper=good.upper() if good.upper() != good else good[::-1])
    asked = urllib.parse.quote(bad, safe="%") if token else ""
    for method, path in (("GET", ""), ("GET", "plan?phone=" + "0" * 32), ("POST", "report")):
        assert request(served, method, f"/{asked}/{path}", headers={"Content-Length": "0"})[0] == 404
    assert request(served, "GET", f"/{asked}")[0] == 404
    assert served.report.phones == ()


def test_an_address_that_was_typed_without_the_last_stroke(served):
    with urllib.request.urlopen(served.url.rstrip("/"), timeout=10) as answer:
        assert answer.url == served.url
        assert b"Files on this phone" in answer.read()


def test_each_server_has_a_token_of_its_own(serve):
    tokens = {path_of(serve()).strip("/") for _ in range(3)}
    assert len(tokens) == 3
    assert all(len(token) == 16 for token in tokens)


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "../" * 12 + "etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "file/../page.js",
        "file/..%2f..%2fetc%2fpasswd",
        "runtime/../../measuring.py",
        "runtime/litert_wasm_internal.js/../x",
        "runtime/",
        "runtime",
        "page/index.html",
        "index.html",
        "server.py",
        "file/1",
        "file/-1",
        "file/00",
        "page.js/",
        "page.js%00",
        "report",
        "..\\..\\windows\\win.ini",
    ],
)
def test_no_path_of_the_disk(served, path):
    status, text = request(served, "GET", path_of(served) + path)
    assert (status, text) == (404, b"Not Found")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT"])
def test_no_way_to_write(served, method):
    for path in ("", "page.js", "file/0", "report"):
        assert request(served, method, path_of(served) + path, headers={"Content-Length": "0"})[0] == 501
    assert is_well(served)


@pytest.mark.parametrize(
    "path", ["", "page.js", "file/0", "inputs/0", "plan", "alive", "runtime/x", "reports", "report/"]
)
def test_nothing_takes_a_body_but_the_report(served, phone, path):
    assert status_of(phone.post, path, phone.message(0))[0] == 404
    assert served.report.phones[0].files == ()


def test_bodies_that_are_too_large_are_not_read(served):
    path = f"{path_of(served)}report"
    most = 4 + message.MOST_JSON + 20 * 3 * 4  # 20 samples of three floats
    assert request(served, "POST", path, headers={"Content-Length": str(most + 1)})[0] == 413
    assert request(served, "POST", path, headers={"Content-Length": "9" * 12})[0] == 413
    assert request(served, "POST", path, b"\0" * most, {"Content-Length": str(most)})[0] == 400
    assert is_well(served)


@pytest.mark.parametrize("length", [None, "", "-1", "+5", "5 5", "1e3", "9" * 13, "x"])
def test_bodies_of_no_certain_length_are_not_read(served, length):
    headers = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": length}
    assert request(served, "POST", f"{path_of(served)}report", headers=headers)[0] == 411


@pytest.mark.parametrize(
    "changes",
    [
        {"phone": 3},
        {"phone": "../../etc/passwd"},
        {"turn": "1"},
        {"turn": True},
        {"file": 1},
        {"file": -1},
        {"file": None},
        {"engine": "<script>"},
        {"threads": 0},
        {"left": -1},
        {"left": 3},
        {"runs": 0},
        {"runs": 10**9},
        {"batches": []},
        {"batches": [1.0] * 1001},
        {"batches": ["1"]},
        {"batches": [float("nan")]},
        {"batches": [float("inf")]},
        {"batches": [-1.0]},
        {"batches": "10"},
        {"first_ms": 1e300},
        {"error": 5},
        {"error": "there are answers, though"},
        {"answers": b""},
        {"answers": b"\0" * 241},
    ],
    ids=str,
)
def test_messages_that_are_not_ours(served, phone, changes):
    status, text = status_of(phone.post, "report", phone.message(0, **changes))
    assert status == 400
    assert text.startswith("Expected")
    assert served.report.phones[0].files == ()
    assert is_well(served)


@pytest.mark.parametrize(
    "body", [b"", b"\0", b"\0\0\0\0", b"\xff\xff\xff\xff{}", b"\2\0\0\0[]", b"\1\0\0\0{", b"\4\0\0\0\xff\xfe\xfd\xfc"]
)
def test_bodies_that_are_no_messages(served, phone, body):
    assert status_of(phone.post, "report", body)[0] == 400


def test_deep_json_is_no_message(served, phone):
    text = b"[" * 60_000
    assert status_of(phone.post, "report", len(text).to_bytes(4, "little") + text)[0] in (400, 413)


def test_a_flood_of_results(served, phone, monkeypatch):
    monkeypatch.setattr(visits, "MOST_MESSAGES", 5)
    answers = [status_of(phone.post, "report", phone.message(0, left=1))[0] for _ in range(20)]
    assert answers == [200] * 5 + [409] * 15
    assert len(served.report.phones[0].files) == 5
    assert phone.get("page.js")


def test_a_phone_that_is_through_sends_no_more(served, phone):
    phone.work()
    status, text = status_of(phone.post, "report", phone.message(0))
    assert (status, text) == (409, "This page is through with all files already.")
    assert len(served.report.phones[0].files) == 1


def test_a_crowd_of_phones(served):
    for _ in range(visits.MOST_PHONES):
        PhoneByHand(served.url).open()
    status, text = status_of(PhoneByHand(served.url).open)
    assert (status, text.partition(" ")[0]) == (409, str(visits.MOST_PHONES))
    assert len(served.report.phones) == visits.MOST_PHONES


def test_more_connections_than_there_is_room_for(serve, monkeypatch):
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 3)
    served = serve()
    idle = [connect(served) for _ in range(3)]
    with connect(served) as refused:
        assert refused.recv(1) == b""  # hung up on, at once
    for each in idle:
        each.close()
    end = time.monotonic() + 10
    while True:
        try:
            assert is_well(served)
            break
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < end


def test_bodies_at_the_same_time_are_few(served, phone):
    held = [served._server.bodies.acquire(blocking=False) for _ in range(server._MOST_BODIES)]
    assert all(held)
    assert status_of(phone.post, "report", phone.message(0))[0] == 503  # the page tries it again
    served._server.bodies.release()
    assert phone.send(0)["agrees"]


def test_silent_and_slow_callers_are_hung_up_on(serve, monkeypatch):
    monkeypatch.setattr(server, "_SILENCE", 0.2)
    served = serve()
    head = f"POST {path_of(served)}report HTTP/1.0\r\nContent-Length: 100\r\n\r\n".encode()
    for beginning in (b"", b"GET /", head, head + b"\0" * 50):
        with connect(served) as caller:
            caller.sendall(beginning)
            assert caller.recv(1) == b""
    assert served.report.phones == ()


@pytest.mark.parametrize("name", ["_SECONDS_TO_ASK", "_SECONDS_TO_SEND"])
def test_who_drips_is_hung_up_on(name, serve, monkeypatch):
    monkeypatch.setattr(server, name, 0.2)
    served = serve()
    head = f"POST {path_of(served)}report HTTP/1.0\r\nContent-Length: 1000\r\nAnd-So-On: "
    with connect(served) as caller:
        caller.sendall((head if name == "_SECONDS_TO_ASK" else f"{head}\r\n\r\n").encode())
        with pytest.raises(ConnectionError):
            drip(caller, 60)
    assert is_well(served)
    served._server.finish(5)
    assert served._server._ends == {}


def test_who_drips_beneath_tls_is_hung_up_on(serve, monkeypatch, capfd):
    pytest.importorskip("cryptography", reason="comes with the extra `phone`")
    monkeypatch.setattr(server, "_SECONDS_TO_ASK", 0.2)
    served = serve(https=True)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with connect(served) as greeting:
        greeting.sendall(b"\x16\x03\x01\x02\x00\x01")  # begins a greeting of 512 bytes
        with pytest.raises(ConnectionError):
            drip(greeting, 60)
    with trusting.wrap_socket(connect(served)) as caller:
        caller.sendall(b"GET /")
        with pytest.raises((ConnectionError, ssl.SSLError)):
            drip(caller, 60)
    assert capfd.readouterr().err == ""


def drip(caller, count):
    for _ in range(count):
        caller.sendall(b"\0")
        time.sleep(0.02)


def test_a_page_that_is_loaded_anew(served, phone):
    phone.send(0, left=1)
    stale = phone.message(0)
    assert len(served.report.phones[0].files) == 1
    phone.open()
    assert served.report.phones[0].files == ()
    assert status_of(phone.post, "report", stale)[0] == 409
    phone.work()
    report = served.wait(timeout=5)
    assert [len(each.files) for each in report.phones] == [1]


def test_a_page_may_begin_again_when_it_is_through(served, phone):
    phone.work()
    phone.open()
    assert served.report.phones[0].state == "at work"
    phone.work()
    assert served.report.phones[0].state == "finished"


def test_several_phones_at_once(serve, files):
    served = serve([files[None], files["int8"]])
    threads = [in_background(lambda: PhoneByHand(served.url).open().work()) for _ in range(3)]
    report = served.wait(phones=3, timeout=20)
    for thread in threads:
        thread.join()
    assert sorted(phone.name.partition(":")[0] for phone in report.phones) == ["Phone 1", "Phone 2", "Phone 3"]
    assert all(phone.agrees and len(phone.files) == 2 for phone in report.phones)


def test_others_that_are_at_work_are_waited_for(served):
    late = PhoneByHand(served.url).open()
    PhoneByHand(served.url).open().work()
    with pytest.raises(TimeoutError):
        served.wait(timeout=0.2)
    late.work()
    assert len(served.wait(timeout=5).finished) == 2


def test_a_phone_that_goes_away(served, monkeypatch):
    gone = PhoneByHand(served.url).open()
    PhoneByHand(served.url).open().work()
    monkeypatch.setattr(visits, "SILENCE", 0.1)
    report = served.wait(timeout=5)  # it holds up nobody
    assert [phone.state for phone in report.phones] == ["gone", "finished"]
    monkeypatch.setattr(visits, "SILENCE", 60)
    gone.get(f"alive?phone={gone.name}")
    assert served.report.phones[0].state == "at work"  # and may come back
    gone.work()
    assert served.report.phones[0].state == "finished"


def test_a_page_of_another_server(served):
    stranger = PhoneByHand(served.url)
    assert status_of(stranger.get, f"alive?phone={stranger.name}")[0] == 409
    assert status_of(stranger.get, "alive?phone=x")[0] == 400
    assert status_of(stranger.get, "plan")[0] == 400


def test_nobody_comes(served):
    with pytest.raises(TimeoutError, match=r"Expected 1 to be through within 0\.1 seconds\. Received: 0 of 0 through"):
        served.wait(timeout=0.1)


def test_a_server_binds_to_one_address(served):
    assert served._server.socket.getsockname()[0] == "127.0.0.1"
    for address in ("0.0.0.0", "", "::", "localhost", "224.0.0.1"):
        with pytest.raises(ValueError, match="Expected one IPv4 address of this computer"):
            PhoneServer(["a.tflite"], address=address)


def test_a_port_that_is_taken(serve, served):
    port = urllib.parse.urlsplit(served.url).port
    with pytest.raises(ValueError, match=f"Cannot listen at 127.0.0.1, port {port}"):
        serve(port=port)


def test_what_is_closed_lets_nobody_in(served):
    served.close()
    with pytest.raises(urllib.error.URLError):
        PhoneByHand(served.url).open()


def test_a_phone_hears_of_its_last_file(serve, monkeypatch):
    served = serve()
    take = server._Handler._take

    def take_and_pause(handler, *told):
        send = handler._send_json
        handler._send_json = lambda value: (time.sleep(0.3), send(value))
        take(handler, *told)

    monkeypatch.setattr(server._Handler, "_take", take_and_pause)
    said = []
    phone = PhoneByHand(served.url).open()
    thread = in_background(lambda: said.extend(phone.work()))
    served.wait(timeout=10)
    served.close()
    assert served._server._ends == {}  # else the end of the process would cut it off
    thread.join()
    assert [each["agrees"] for each in said] == [True]


def test_a_server_that_was_never_started_can_be_closed(runtime_folder, files, x):
    PhoneServer([files[None]], None, x, runtime=runtime_folder, address="127.0.0.1").close()


def test_an_error_of_ours_is_seen(served, phone, monkeypatch, capfd):
    monkeypatch.setattr(visits, "_judge", lambda *_: 1 / 0)
    with pytest.raises((http.client.HTTPException, OSError)):
        phone.send(0)
    assert "ZeroDivisionError" in capfd.readouterr().err
    assert phone.get("page.js")


def test_https_by_a_certificate_of_its_own(serve, files, x):
    pytest.importorskip("cryptography", reason="comes with the extra `phone`")
    served = serve(https=True)
    parts = urllib.parse.urlsplit(served.url)
    assert parts.scheme == "https"
    certificate = ssl.get_server_certificate((parts.hostname, parts.port))
    trusting = ssl.create_default_context(cadata=certificate)  # also compares the address with the certificate's
    silent = connect(served)  # says no word of TLS, and holds up nobody
    with urllib.request.urlopen(served.url, timeout=10, context=trusting) as answer:
        assert b"Files on this phone" in answer.read()
    silent.close()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
    assert served.fingerprint.replace(":", "").lower() == digest
    other = serve(https=True)
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(other.url, timeout=10, context=trusting)


def test_the_plan_is_plain(phone):
    file = phone.plan["files"][0]
    assert (file["name"], file["precision"], file["samples"]) == ("None.tflite", "float32", 20)
    assert file["inputs"] == [{"name": "numbers", "bytes": 24}]
    assert json.dumps(phone.plan)
    assert phone.plan["integrity"]["litert_wasm_internal.wasm"].startswith("sha256-")
