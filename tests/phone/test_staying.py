"""Pages that stay, and are given one list of files after another."""

import time

import numpy as np
import pytest
from phone_by_hand import PhoneByHand, in_background, status_of

import keras_slim as slim
from keras_slim.phone import PhoneServer
from keras_slim.phone.visits import Visits
from keras_slim.pruning import Guards, PhoneLatency


@pytest.fixture
def staying(runtime_folder):
    """A server whose pages stay, without files."""
    with PhoneServer(runtime=runtime_folder, address="127.0.0.1", stays=True) as server:
        yield server


def test_one_list_of_files_after_the_other(staying, files, model, x):
    phone = PhoneByHand(staying.url)
    in_background(phone.stay)
    assert staying.wait(timeout=10).phones[0].files == ()  # it is there
    first = staying.run([files[None]], model, x, timeout=10)
    second = staying.run([files["int8"], files[None]], data=x, timeout=10)
    assert [file.name for file in first.phones[0].files] == ["None.tflite"]
    assert [file.reference for file in second.phones[0].files] == ["LiteRT here"] * 2
    assert first.check().phones[0].files[0].reference == "Keras"
    assert len(second.phones) == 1


def test_what_comes_late_does_not_count(staying, files, x):
    in_background(lambda: PhoneByHand(staying.url).stay())
    late = PhoneByHand(staying.url)
    staying.run([files[None]], data=x, timeout=10)
    body = late.open().message(0)
    staying.run([files["int8"]], data=x, timeout=10)
    status, text = status_of(late.post, "report", body)
    assert status in (400, 409)  # it is of another size, or of a phone that is not known any more
    assert text


def test_pages_that_do_not_stay_are_given_nothing(serve, files):
    server = serve()
    assert PhoneByHand(server.url).open().plan["stays"] is False
    with pytest.raises(RuntimeError, match="stays=True"):
        server.run([files[None]])


def test_bad_files_leave_the_ones_before(staying, files, x, tmp_path):
    phone = PhoneByHand(staying.url)
    in_background(phone.stay)
    staying.run([files[None]], data=x, timeout=10)
    with pytest.raises(FileNotFoundError):
        staying.run([tmp_path / "none.tflite"])
    with pytest.raises(ValueError, match="`files` of `PhoneServer.run`. Expected 1 to 16 paths"):
        staying.run([])
    assert staying.report.phones[0].files[0].name == "None.tflite"


def test_a_cut_comes_down_to_the_time_on_the_phone(staying):
    """The phone takes as many milliseconds as a file has bytes, and all is half as fast at times."""
    import keras

    slowness = iter(range(100))
    phone = PhoneByHand(staying.url)
    in_background(lambda: phone.stay(batches=lambda file: [file["bytes"] * (1.0 + next(slowness) // 2 % 2)] * 3))
    inputs = keras.Input((32,))
    model = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Dense(256, activation="relu")(inputs)))
    plan = slim.plan_pruning(model, 0.5, of=PhoneLatency(staying), guards=Guards(align=1))
    by_bytes = slim.plan_pruning(model, 0.5, of="bytes", guards=Guards(align=1))
    assert plan.after.other["phone_latency"] == pytest.approx(plan.before.other["phone_latency"] / 2, rel=0.06)
    assert plan.after.other["phone_latency"] <= plan.before.other["phone_latency"] / 2
    assert plan.after.units == pytest.approx(by_bytes.after.units, rel=0.06)


def test_a_target_on_a_phone_needs_a_server_whose_pages_stay(serve):
    with pytest.raises(ValueError, match="`server` of `PhoneLatency`.*stays=True"):
        PhoneLatency(serve())
    with pytest.raises(ValueError, match="`server` of `PhoneLatency`"):
        PhoneLatency("int8")


def test_files_of_another_model_are_warned_of(staying, files, stranger, x, tmp_path):
    other = str(tmp_path / "other.tflite")
    slim.export_tflite(stranger, other, verbose=0)
    in_background(lambda: PhoneByHand(staying.url).stay())
    with pytest.warns(slim.errors.SlimWarning, match="None.tflite does not answer like the model") as said:
        report = staying.run([files[None], other], stranger, x, timeout=10)
    assert [file.reference for file in report.phones[0].files] == ["LiteRT here", "Keras"]
    assert said[0].filename == __file__


@pytest.mark.parametrize("wrong", [{"phones": 0}, {"timeout": -1}])
def test_wrong_arguments_leave_the_files_before(staying, files, wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` of `PhoneServer.run`"):
        staying.run([files[None]], **wrong)
    assert staying._server.round == 1


def test_a_server_that_does_not_serve_waits_for_nobody(runtime_folder, files):
    server = PhoneServer(runtime=runtime_folder, address="127.0.0.1", stays=True)
    try:
        with pytest.raises(RuntimeError, match="PhoneServer.run.*start"):
            server.run([files[None]], timeout=1)
        server.start()
    finally:
        server.close()
    with pytest.raises(RuntimeError, match="PhoneServer.run.*start"):
        server.run([files[None]], timeout=1)


def test_what_is_not_timed_need_not_agree(staying, model):
    """Files also run on WebGPU where the phone has it."""

    class WithWebGPU(PhoneByHand):
        def send(self, index, **changes):
            super().send(index, left=1)
            super().send(index, engine="WebGPU", error="no", answers=b"")

    in_background(lambda: WithWebGPU(staying.url).stay())
    milliseconds, latency = PhoneLatency(staying, timeout=10).meter(model)
    assert milliseconds == latency(model) == pytest.approx(2.0)


def test_files_given_while_a_page_asks(staying, files, x, monkeypatch):
    """What a page is told belongs together, even if the files change at that moment."""
    join = Visits.join
    threads = []

    def slow_join(*arguments):
        turn = join(*arguments)
        threads.append(in_background(lambda: staying.run([files[None]], data=x, timeout=10)))
        time.sleep(0.1)
        return turn

    with monkeypatch.context() as patches:
        patches.setattr(Visits, "join", slow_join)
        plan = PhoneByHand(staying.url).open().plan
    assert (plan["round"], plan["files"]) == (1, [])
    in_background(lambda: PhoneByHand(staying.url).stay())
    threads[0].join()


def test_pruning_in_rounds_compares_with_the_model_before_all_of_them(staying, tmp_path):
    """A model is cut in place: after a round it is no longer the one before the cut."""
    import keras

    phone = PhoneByHand(staying.url)
    in_background(lambda: phone.stay(batches=lambda file: [float(file["bytes"])] * 3, runs=lambda file: 1))
    layers = [keras.layers.Dense(64, activation="relu"), keras.layers.Dense(64, activation="relu")]
    model = keras.Sequential([keras.Input((16,)), *layers, keras.layers.Dense(4)])
    model.compile("sgd", "mse", jit_compile=False)
    x, y = np.zeros((8, 16), "float32"), np.zeros((8, 4), "float32")
    of = PhoneLatency(staying)
    pruning = slim.callbacks.ProgressiveGlobalPruning(
        0.5, of=of, rounds=2, data=(x, y), guards=Guards(align=1), verbose=0
    )
    model.fit(x, y, epochs=4, verbose=0, callbacks=[pruning])
    size = slim.export_tflite(model, tmp_path / "now.tflite", verbose=0).bytes
    assert pruning.rounds_done[-1]["phone_latency"] == pytest.approx(size, rel=0.01)
    with pytest.raises(ValueError, match="PhoneLatency.*cannot be written down.*server"):
        pruning.get_config()
