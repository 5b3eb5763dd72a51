"""Tables in a model file: what the daemon says of them, and that requests that ask for nothing start from them."""
import json
import struct

import pytest
import requests

import models as make
from conftest import Daemon


def with_tables(model):
    """The model with `matched` tables: for if at T = 4 and 16, the latter with a threshold factor; for if-signed at 8."""
    n = struct.unpack("<Q", model[:8])[0]
    header, data = json.loads(model[8:8 + n]), model[8 + n:]
    meta, values = header["__metadata__"], {"if.matched.4.conv1": 0.25, "if.matched.16.conv1": 0.5,
                                            "if-signed.matched.8.conv1": 0.75}
    for name, value in values.items():
        header[name] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
        data += struct.pack("<f", value)
    meta["spiked.format_version"] = "2"
    meta["spiked.recommended"] = json.dumps({"timesteps": 4, "init": "matched", "shift": 1})
    meta["spiked.calibration"] = json.dumps({"tables": [
        {"neuron": "if", "init": "matched", "timesteps": 4},
        {"neuron": "if", "init": "matched", "timesteps": 16, "factors": [0.5]},
        {"neuron": "if-signed", "init": "matched", "timesteps": 8}]})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    plain = make.network(1, 8, 6, 3)
    for name, content in (("plain", plain), ("tables", with_tables(plain))):
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(content)
    with Daemon(folder) as d:
        yield d


def test_description(calibrated):
    m = requests.get(calibrated.url + "/v1/models/tables").json()
    assert m["tables"] == [{"neuron": "if", "init": "matched", "timesteps": 4},
                           {"neuron": "if", "init": "matched", "timesteps": 16},
                           {"neuron": "if-signed", "init": "matched", "timesteps": 8}]
    assert (m["defaults"]["timesteps"], m["defaults"]["init"], m["defaults"]["shift"]) == (4, "matched", 1)
    assert m["calibration"] is None
    assert requests.get(calibrated.url + "/v1/models/plain").json()["tables"] == []


def test_requests_start_from_them(calibrated):
    picture = make.picture(3)

    def ask(**options):
        return calibrated.classify(picture, "tables", **options).json()

    own = ask()
    assert (own["timesteps"], own["init"], own["shift"], own["calibration"]) == (4, "matched", 1, None)
    assert own["table"] == {"source": "model", "timesteps": 4}
    assert list(own).index("table") == list(own).index("init") + 1
    assert ask(T=5)["table"]["timesteps"] == 4 and ask(T=9)["table"]["timesteps"] == 16
    assert ask(neuron="if-signed", T=1)["table"] == {"source": "model", "timesteps": 8}
    half = ask(init="half", shift=0, T=16)
    assert "table" not in half
    assert ask(neuron="lif")["init"] == "half"
    assert half["results"] == calibrated.classify(picture, "plain", T=16).json()["results"]
    factor = ask(T=16, shift=0)  # v(0) is half of a threshold that is half as high
    assert factor["results"][0]["spikes"]["total"] > half["results"][0]["spikes"]["total"]


@pytest.mark.parametrize("options,said", [
    ({"init": "data"}, "init: 'data' needs a table for neuron 'if', which neither the model nor a calibration in force "
     "has; there are: if matched T 4, 16; if-signed matched T 8; without a table: zero, half, weights"),
    ({"init": "matched", "neuron": "srif"}, "init: 'matched' needs a table for neuron 'srif'")])
def test_what_there_is(calibrated, options, said):
    r = calibrated.classify(make.picture(1), "tables", **options)
    assert r.status_code == 400 and r.json()["detail"].startswith(said)
    r = calibrated.classify(make.picture(1), "plain", **options)
    assert r.status_code == 400 and "; there are: none; without a table: " in r.json()["detail"]
