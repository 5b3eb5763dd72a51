"""`snn calibrate --embed`: the model file carries its tables, and who asks for nothing gets them."""
import hashlib
import json
import shutil

import numpy as np
import pytest

import cli_support as cli


@pytest.fixture(scope="module")
def embedded(small, tmp_path_factory):
    """small's model with tables of `matched` at T = 2 and 8 for `if`, at 4 for if-signed; its pictures beside it."""
    folder = tmp_path_factory.mktemp("embedded")
    path = folder / "model.safetensors"
    shutil.copy(small / "model.safetensors", path)
    said = cli.ok("calibrate", path, "--data", small / "data", "-T", "2,8", "--embed", "--recommend", "8")
    assert said == f"{path}: embedded 2 tables for neuron if, method matched, from 40 pictures\n"
    cli.ok("calibrate", path, "--data", small / "data", "-T", "4", "--neuron", "if-signed", "--embed")
    return path


def answer(model, *options):
    a = cli.ok_json("classify", model, *options)
    for name in ("latency_ms", "model_version"):
        del a[name]
    return a


def test_inspect_lists_them(small, embedded):
    shown = cli.ok_json("inspect", embedded, "--json")
    assert shown["tables"] == [{"neuron": "if", "init": "matched", "timesteps": 2},
                               {"neuron": "if", "init": "matched", "timesteps": 8},
                               {"neuron": "if-signed", "init": "matched", "timesteps": 4}]
    assert shown["recommended"] == {"timesteps": 8, "neuron": "if", "init": "matched", "shift": 0}
    assert shown["identity"] == hashlib.sha256((small / "model.safetensors").read_bytes()).hexdigest()
    assert shown["sha256"] == hashlib.sha256(embedded.read_bytes()).hexdigest()
    assert "  tables       if matched T=2,8; if-signed matched T=4\n" in cli.ok("inspect", embedded)
    assert "  tables       none\n" in cli.ok("inspect", small / "model.safetensors")


def test_the_network_is_untouched(small, embedded):
    (meta, tensors), (before, old) = cli.open_model(embedded), cli.open_model(small / "model.safetensors")
    assert {k: v for k, v in tensors.items() if k in old}.keys() == old.keys()
    assert all(np.array_equal(tensors[k], old[k]) for k in old)
    assert sorted(set(tensors) - set(old)) == sorted(f"{table}.{layer}" for table in (
        "if.matched.2", "if.matched.8", "if-signed.matched.4") for layer in ("conv1", "fc1"))
    assert meta["spiked.format_version"] == "2" and before["spiked.format_version"] == "1"
    for key in set(before) - {"spiked.format_version", "spiked.recommended"}:
        assert meta[key] == before[key]


def test_classify_starts_from_them(small, embedded, tmp_path):
    picture, beside = small / "data/003.png", tmp_path / "c.safetensors"
    own = answer(embedded, picture)
    assert (own["timesteps"], own["init"], own["calibration"]) == (8, "matched", None)
    assert own["table"] == {"source": "model", "timesteps": 8}
    near = answer(embedded, picture, "-T", "3")
    assert near["table"] == {"source": "model", "timesteps": 2}

    cli.ok("calibrate", small / "model.safetensors", "--data", small / "data", "-T", "2,8", "-o", beside)
    digest = hashlib.sha256(beside.read_bytes()).hexdigest()
    given = answer(small / "model.safetensors", picture, "-T", "8", "--init", "matched", "--calibration", beside)
    assert given["calibration"] == digest and given["table"] == {"source": "calibration", "timesteps": 8}
    assert given["results"] == own["results"]
    both = answer(embedded, picture, "--calibration", beside)  # the file still belongs to the network
    assert both["calibration"] == digest and both["results"] == own["results"]

    half = answer(embedded, picture, "--neuron", "lif")  # has no table, so starts as if nothing were recommended
    assert half["init"] == "half" and "table" not in half
    assert answer(embedded, picture, "--neuron", "if-signed")["table"] == {"source": "model", "timesteps": 4}
    assert cli.failed("classify", embedded, picture, "--init", "data").endswith(
        "init: 'data' needs a calibration with a table for neuron 'if'; there is none")


def test_eval_says_which_table(small, embedded):
    rows = cli.ok_json("eval", embedded, "--data", small / "data", "-T", "2,8,64", "--json")["rows"]
    assert [row["table"] for row in rows] == [{"source": "model", "timesteps": t} for t in (2, 8, 8)]
    text = cli.ok("eval", embedded, "--data", small / "data", "-T", "2,8,64")
    assert "T=64 started from the table for T=8\n" in text and "T=8 started" not in text


def test_another_file_and_refusals(small, embedded, tmp_path):
    before = embedded.read_bytes()
    said = cli.ok("calibrate", embedded, "--data", small / "data", "-T", "16", "--embed", "-o", tmp_path / "new")
    assert said.startswith(f"{tmp_path / 'new'}: embedded 1 tables")
    assert embedded.read_bytes() == before
    assert len(cli.ok_json("inspect", tmp_path / "new", "--json")["tables"]) == 4
    data = cli.ok("calibrate", embedded, "--data", small / "data", "-T", "16", "--method", "data", "--embed", "-o",
                  tmp_path / "data")
    assert "method data" in data
    assert cli.ok_json("inspect", tmp_path / "data", "--json")["recommended"]["init"] == "matched"
    line = cli.failed("calibrate", embedded, "--data", small / "data", "-T", "16", "--embed", "-o", "/no/such/model")
    assert "/no/such/model" in line


def test_provenance_of_the_model_is_kept(small, embedded):
    old, new = (cli.open_model(p)[0]["spiked.provenance"] for p in (small / "model.safetensors", embedded))
    assert json.dumps(old) == json.dumps(new)
