"""`snn bench`: its fields and how they hang together; no test of how fast anything is."""
import re

import pytest

import cli_support as cli


def test_json(model):
    answer = cli.ok_json("bench", model, "-T", "3,6", "--seconds", "1", "--threads", "1", "--batch", "2", "--init", "zero",
                         "--neuron", "if", "--json", env={"SPIKED_KERNELS": "scalar"})
    rows = answer.pop("rows")
    assert answer == {"model": "small", "threads": 1, "batch": 2, "neuron": "if", "init": "zero", "shift": 0,
                      "encoding": "direct", "readout": "potential", "precision": "int8", "kernels": "scalar"}
    assert [row["timesteps"] for row in rows] == [3, 6]
    for row in rows:
        assert set(row) == {"timesteps", "runs", "min_ms", "median_ms", "images_per_second", "rate"}
        assert row["runs"] >= 5 and 0 < row["min_ms"] <= row["median_ms"] < 1000
        assert row["images_per_second"] == pytest.approx(1000 * 2 / row["median_ms"], rel=1e-6)
        assert 0 < row["rate"] < 1


def test_defaults_and_real_pictures(small, model):
    """Black pictures drive the network less than the made ones; T is the one the model recommends."""
    (small / "black").mkdir()
    cli.write_flat(small / "black", cli.pictures(3) * 0)
    black = cli.ok_json("bench", model, "--data", small / "black", "--seconds", "1", "--threads", "2", "--json")
    assert (black["threads"], black["batch"], black["init"]) == (2, 1, "half")
    assert [row["timesteps"] for row in black["rows"]] == [12]
    one = cli.ok_json("classify", model, small / "black" / "000.png")["results"][0]["spikes"]
    assert black["rows"][0]["rate"] == pytest.approx(one["per_neuron_step"], rel=1e-6)


def test_table(model):
    lines = cli.ok("bench", model, "-T", "2", "--seconds", "1", "--threads", "1").splitlines()
    assert re.fullmatch(r"small: 1 threads, batch 1, neuron=if, init=half, precision=int8, kernels \w+", lines[0])
    assert re.split(r"  +", lines[1].strip()) == ["T", "runs", "min ms", "median ms", "images/s", "rate"]
    assert len(lines) == 3
    t, runs, low, median, speed, rate = map(float, lines[2].split())
    assert t == 2 and runs >= 5 and 0 < low <= median and 0 < rate < 1
    assert speed == pytest.approx(1000 / median, rel=0.05, abs=500 / median)


def test_bad_data(small, model, tmp_path):
    assert "absent: no such file or folder" in cli.failed("bench", model, "--data", tmp_path / "absent")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"no picture")
    assert "x.png: not a PNG" in cli.failed("bench", model, "--data", tmp_path / "bad")
