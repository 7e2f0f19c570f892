import xml.etree.ElementTree

import keras

from keras_slim.reports.plain_picture import draw_svg

HISTORY = {"val_accuracy": [0.2, 0.8, 0.9, 0.85, 0.95], "macs": [2e6, 2e6, 2e6, 1e6, 1e6]}
ROUNDS = [{"epoch": 3, "macs": 1_000_000}]


def network(width):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(width, name="hidden"), keras.layers.Dense(2)])


def test_the_picture_shows_widths_and_rounds():
    image = xml.etree.ElementTree.fromstring(draw_svg(network(16), network(6), HISTORY, ROUNDS, title="Digits"))
    lines = " ".join(text.replace("\xa0", " ") for text in image.itertext())
    for part in ("Digits", "hidden", "6 of 16", "1 to 3", "4 to 5", "2 M", "1 M", "0.95", "Validation accuracy"):
        assert part in lines
    assert "▁▁▆" in lines  # from 0.2, which is below the scale of the later epochs, over 0.8 to 0.9
    columns = {round(float(each.get("width")) / 12.2, 2) for each in image.iter("{http://www.w3.org/2000/svg}rect")}
    assert {15, 40 - 15, 20, 40} <= columns  # six sixteenths of forty columns; half of the multiply-accumulates


def test_a_constant_metric_and_no_rounds():
    image = draw_svg(network(4), network(4), {"loss": [0.5, 0.5], "params": [30.0, 30.0]}, [])
    assert "1&#160;to&#160;2" in image
