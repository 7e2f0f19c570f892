import json

import keras
import pytest

from keras_slim.reports import Comparison, ComparisonRow, compare_models


@pytest.fixture
def comparison():
    return Comparison(
        [
            ComparisonRow("parameters", 1000, 250),
            ComparisonRow("float32 file", 2048, 1024, "bytes"),
            ComparisonRow("latency", 0.5, 0.25, "ms"),
            ComparisonRow("test accuracy", 0.99, 0.985, "share"),
            ComparisonRow("agreement", 120.0, 130.0, "dB"),
        ],
        title="A network",
    )


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (ComparisonRow("a", 2000, 500), ("a", "2,000", "500", "-75.0%")),
        (ComparisonRow("a", 500, 500), ("a", "500", "500", "+0.0%")),
        (ComparisonRow("a", 0, 5), ("a", "0", "5", "")),
        (ComparisonRow("a", 1_000_000, None), ("a", "1,000,000", "", "")),
        (ComparisonRow("a", None, 1), ("a", "", "1", "")),
        (ComparisonRow("a", 2000, 3000, "bytes"), ("a", "2,000 B", "3,000 B", "+50.0%")),
        (ComparisonRow("a", 0.5, 0.25, "ms"), ("a", "0.500 ms", "0.250 ms", "-50.0%")),
        (ComparisonRow("a", 0.99, 0.985, "share"), ("a", "99.0%", "98.5%", "-0.5 points")),
        (ComparisonRow("a", 0.9, 1.0, "share"), ("a", "90.0%", "100.0%", "+10.0 points")),
        (ComparisonRow("a", 120.0, 130.04, "dB"), ("a", "120.0 dB", "130.0 dB", "")),
    ],
)
def test_a_row_as_it_is_shown(row, cells):
    assert row.cells() == cells


def test_an_unknown_unit_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"one of 'count', 'bytes'.*Did you mean 'bytes'\?"):
        ComparisonRow("a", 1, 2, "byte")


def test_markdown(comparison):
    assert comparison.to_markdown().splitlines() == [
        "| A network | before | after | change |",
        "|---|--:|--:|--:|",
        "| parameters | 1,000 | 250 | -75.0% |",
        "| float32 file | 2,048 B | 1,024 B | -50.0% |",
        "| latency | 0.500 ms | 0.250 ms | -50.0% |",
        "| test accuracy | 99.0% | 98.5% | -0.5 points |",
        "| agreement | 120.0 dB | 130.0 dB |  |",
    ]


def test_markdown_keeps_a_bar_inside_its_cell():
    text = Comparison([ComparisonRow("a|b", 1, 2)]).to_markdown()
    assert "a\\|b" in text


def test_the_text_is_a_table(comparison):
    lines = str(comparison).splitlines()
    assert lines[0] == "A network"
    assert [line.split() for line in lines if "parameters" in line] == [["parameters", "1,000", "250", "-75.0%"]]


def test_titles_are_no_markup():
    assert "[bold]" in str(Comparison([ComparisonRow("[bold]x", 1, 2)], title="[bold]"))


def test_plain_values_survive_json(comparison):
    plain = json.loads(json.dumps(comparison.to_dict()))
    assert plain["title"] == "A network"
    assert plain["columns"] == ["before", "after"]
    assert plain["rows"][0] == {"label": "parameters", "before": 1000, "after": 250, "unit": "count"}


def test_extending_leaves_the_comparison_as_it_is(comparison):
    longer = comparison.extended(ComparisonRow("one more", 1, 2))
    assert [row.label for row in longer.rows[-2:]] == ["agreement", "one more"]
    assert len(comparison.rows) == 5


def test_compare_models_counts_both():
    def network(width):
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(width), keras.layers.Dense(2)], name="net")

    comparison = compare_models(network(8), network(3))
    assert comparison.title == "net"
    parameters, macs = comparison.rows
    assert (parameters.before, parameters.after) == (4 * 8 + 8 + 8 * 2 + 2, 4 * 3 + 3 + 3 * 2 + 2)
    assert (macs.before, macs.after) == (4 * 8 + 8 * 2, 4 * 3 + 3 * 2)
