"""The arithmetic behind the benchmarks' tables."""
import tables


def test_ratios_are_of_the_same_round():
    rounds = [{"a": 2.0, "b": 4.0}, {"a": 9.0, "b": 3.0}, {"a": 1.0}, {"b": 5.0}]
    assert tables.ratios(rounds, "a", "b") == [0.5, 3.0]
    assert tables.spread([3.0, 0.5, 1.0]) == "1.00 (0.50 .. 3.00)"
    assert tables.spread([]) == "-"


def test_columns_line_up():
    text = tables.table(["name", "ms"], [["a", 1.5], ["long one", 10]])
    assert text.splitlines() == ["name       ms", "a         1.5", "long one   10"]
