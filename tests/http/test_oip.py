"""Open Inference Protocol v2, from its public specification and the extensions' pages: what a client that knows nothing
of this server sends, and what it may rely on. Written with requests, struct and zlib only."""
import base64
import gzip
import json
import struct
import zlib

import numpy as np
import pytest
import requests

import models as make
from conftest import Daemon

PNGS = [make.picture(seed) for seed in (1, 2, 3)]
HEADER = "Inference-Header-Content-Length"


def url(daemon, path="/infer", model="tiny"):
    return f"{daemon.url}/v2/models/{model}{path}"


def infer(daemon, request, binary=b"", model="tiny", headers=None, path="/infer"):
    """Send JSON, with raw tensors behind it when there are any."""
    text = json.dumps(request).encode()
    headers = dict(headers or {})
    if binary:
        headers[HEADER] = str(len(text))
    return requests.post(url(daemon, path, model), data=text + binary, headers=headers, timeout=180)


def elements(*items):
    """BYTES elements as binary data."""
    return b"".join(struct.pack("<I", len(i)) + i for i in items)


def tensor(datatype, shape, **more):
    return {"name": "image", "datatype": datatype, "shape": shape, **more}


def with_pngs(*pngs, **more):
    """A request with encoded pictures as binary data, and that data."""
    raw = elements(*pngs)
    return {"inputs": [tensor("BYTES", [len(pngs)], parameters={"binary_data_size": len(raw)})], **more}, raw


def parse(r):
    """Outputs by name, from JSON and binary data alike, and the JSON."""
    assert r.status_code == 200, r.text
    n = int(r.headers.get(HEADER, len(r.content)))
    assert r.headers["Content-Type"] == ("application/octet-stream" if HEADER in r.headers else "application/json")
    answer, rest = json.loads(r.content[:n]), r.content[n:]
    outputs = {}
    for o in answer["outputs"]:
        size = o.get("parameters", {}).get("binary_data_size")
        assert (size is None) == ("data" in o)
        data, rest = (o["data"], rest) if size is None else (rest[:size], rest[size:])
        if o["datatype"] == "BYTES":
            if size is not None:
                raw, data = data, []
                while raw:
                    length, = struct.unpack_from("<I", raw)
                    data.append(raw[4:4 + length].decode())
                    raw = raw[4 + length:]
            values = np.array(data, dtype=object)
        else:
            kind = {"FP32": "<f4", "INT64": "<i8"}[o["datatype"]]
            values = np.array(data, dtype=kind) if size is None else np.frombuffer(data, dtype=kind)
        outputs[o["name"]] = values.reshape(o["shape"])
    assert not rest
    return outputs, answer


def check_error(r, status, said=""):
    """Any error is JSON with a string `error`, the type clients know, and the request's own status."""
    assert r.status_code == status, r.text
    assert r.headers["Content-Type"] == "application/json"
    problem = r.json()
    assert isinstance(problem["error"], str) and problem["error"].startswith(said), problem
    assert problem["status"] == status


def pixels(seed, size=8):
    return np.random.default_rng(seed).integers(0, 256, (size, size)).astype(np.uint8)


@pytest.fixture(scope="module")
def planes():
    """The pictures of PNGS as raw pixels [3,1,8,8], and normalised."""
    raw = np.stack([pixels(seed)[None] for seed in (1, 2, 3)])
    normalised = ((raw.astype("<f4") / np.float32(255)) - np.float32(0.5)) / np.float32(0.25)
    return raw, normalised.astype("<f4")


@pytest.fixture(scope="module")
def expected(shared):
    """Scores and predictions of PNGS as classify gives them."""
    body = {"images": [base64.b64encode(p).decode() for p in PNGS], "timesteps": 16, "trace": "layers"}
    results = shared.classify_json(body).json()["results"]
    return (np.array([r["scores"] for r in results], dtype="<f4"), [r["class"]["label"] for r in results],
            np.array([[layer["spikes"] for layer in r["spikes"]["layers"]] for r in results]))


# ---- metadata --------------------------------------------------------------------------------------------------


def test_server_metadata(daemon):
    m = requests.get(daemon.url + "/v2").json()
    assert m["name"] == "spiked" and isinstance(m["version"], str)
    assert set(m["extensions"]) == {"binary_tensor_data", "classification", "parameters", "schedule_policy",
                                    "model_configuration", "statistics"}


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_model_metadata(daemon, version):
    m = requests.get(url(daemon, version, "rgb")).json()
    assert (m["name"], m["versions"]) == ("rgb", ["1"]) and m["platform"]
    assert m["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 8, 8]}]
    assert m["outputs"] == [{"name": "scores", "datatype": "FP32", "shape": [-1, 4]},
                            {"name": "spike_count", "datatype": "INT64", "shape": [-1, 2]},
                            {"name": "label", "datatype": "BYTES", "shape": [-1]}]
    assert m["parameters"]["sha256"] == requests.get(daemon.url + "/v1/models/rgb").json()["model_version"]


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_ready_and_config(daemon, version):
    assert requests.get(url(daemon, version + "/ready")).json() == {"name": "tiny", "ready": True}
    c = requests.get(url(daemon, version + "/config")).json()
    assert c["name"] == "tiny" and c["max_batch_size"] == 64
    assert [(i["name"], i["data_type"], i["dims"]) for i in c["input"]] == [("image", "TYPE_FP32", [1, 8, 8])]
    assert [(o["name"], o["data_type"], o["dims"]) for o in c["output"]] == [
        ("scores", "TYPE_FP32", [3]), ("spike_count", "TYPE_INT64", [1]), ("label", "TYPE_STRING", [1])]
    assert c["parameters"]["spike_count_layers"]["string_value"] == "conv1"


@pytest.mark.parametrize("path", ["/v2/models/none", "/v2/models/none/ready", "/v2/models/none/config",
                                  "/v2/models/none/stats", "/v2/models/tiny/versions/2", "/v2/models/tiny/versions/2/ready",
                                  "/v2/models/tiny/versions/x/stats", "/v2/nothing", "/v2/models", "/v2/repository/index"])
def test_unknown(daemon, path):
    check_error(requests.get(daemon.url + path), 404)


def test_errors_under_v2_are_json_whatever_happened(daemon):
    check_error(requests.delete(daemon.url + "/v2"), 405)
    check_error(requests.post(url(daemon, model="none"), data=b"{}"), 404, "model: ")
    check_error(requests.post(url(daemon, "/versions/3/infer"), data=b"{}"), 404, "version: ")
    check_error(requests.get(url(daemon)), 405)
    check_error(requests.post(url(daemon), data=b"x" * (9 << 20)), 413, "body: ")


# ---- infer: the ways in ----------------------------------------------------------------------------------------


def test_pictures_as_binary_data(daemon, expected):
    outputs, answer = parse(infer(daemon, *with_pngs(*PNGS, parameters={"timesteps": 16})))
    scores, labels, spikes = expected
    assert (outputs["scores"] == scores).all() and list(outputs["label"]) == labels
    assert (outputs["spike_count"] == spikes).all()
    assert (answer["model_name"], answer["model_version"]) == ("tiny", "1") and "id" not in answer
    p = answer["parameters"]
    assert (p["timesteps"], p["neuron"], p["init"]) == (16, "if", "half")
    assert p["sha256"] == requests.get(daemon.url + "/v1/models/tiny").json()["model_version"]
    assert p["spikes"] == spikes.sum() and p["synaptic_operations"] > 0 and p["energy_nj"] > 0
    assert all(not isinstance(v, (dict, list)) for v in p.values())


def test_parameters_are_scalars_whatever_was_asked(daemon):
    asked = {"stop": "0.0,2", "budget_ms": 60000, "encoding": "rate", "seed": 3, "neuron": "lif", "tau": 0.5, "timesteps": 16}
    p = parse(infer(daemon, *with_pngs(*PNGS, parameters=asked)))[1]["parameters"]
    assert all(isinstance(v, (str, int, float)) for v in p.values()), p
    assert (p["seed"], p["tau"], p["budget_ms"], p["stop_patience"]) == (3, 0.5, 60000, 2)
    assert 2 <= p["timesteps_used"] < 16
    check_error(infer(daemon, *with_pngs(PNGS[0], parameters={"stop": {"margin": 0.9, "patience": 2}})), 400, "parameters.stop: ")


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("datatype", ["FP32", "UINT8"])
@pytest.mark.parametrize("binary", [True, False])
def test_tensors(daemon, planes, expected, datatype, flat, binary):
    values = planes[datatype == "FP32"]
    if binary:
        t = tensor(datatype, [3, 1, 8, 8], parameters={"binary_data_size": values.nbytes})
    else:
        t = tensor(datatype, [3, 1, 8, 8], data=(values.ravel() if flat else values).tolist())
    outputs, _ = parse(infer(daemon, {"inputs": [t], "parameters": {"timesteps": 16}}, values.tobytes() if binary else b""))
    assert (outputs["scores"] == expected[0]).all()


def test_pixels_of_colour_pictures_are_planes(daemon):
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    png = make.png(picture)
    want = daemon.classify(png, "rgb").json()["results"][0]["scores"]
    raw = picture.transpose(2, 0, 1).tobytes()
    r = infer(daemon, {"inputs": [tensor("UINT8", [1, 3, 8, 8], parameters={"binary_data_size": len(raw)})]}, raw, "rgb")
    outputs, _ = parse(r)
    assert (outputs["scores"][0] == np.array(want, dtype="<f4")).all()
    assert outputs["label"][0] == str(int(np.argmax(want)))  # no labels in this model: the index


def test_pictures_as_base64(daemon, expected):
    for shape in ([3], [3, 1]):
        data = [base64.b64encode(p).decode() for p in PNGS]
        request = {"inputs": [tensor("BYTES", shape, data=data if shape == [3] else [[d] for d in data])],
                   "parameters": {"timesteps": "16"}}  # KServe's parameters may be strings
        assert (parse(infer(daemon, request))[0]["scores"] == expected[0]).all()


def test_integers_stand_for_floats_and_floats_for_integers(daemon):
    def scores(datatype, text):
        body = f'{{"inputs":[{{"name":"image","shape":[1,1,8,8],"datatype":"{datatype}","data":[{text}]}}]}}'
        return parse(requests.post(url(daemon), data=body))[0]["scores"].tolist()

    assert scores("FP32", ",".join(["1"] * 64)) == scores("FP32", ",".join(["1.0"] * 64))
    assert scores("UINT8", ",".join(["100"] * 64)) == scores("UINT8", ",".join(["1e2"] * 64))


def test_raw_bodies_are_one_tensor(daemon, planes, expected):
    headers = {HEADER: "0", "Content-Type": "application/octet-stream"}
    outputs, answer = parse(requests.post(url(daemon), params={"T": 16}, data=planes[1].tobytes(), headers=headers))
    assert (outputs["scores"] == expected[0]).all()
    assert all("binary_data_size" in o["parameters"] for o in answer["outputs"])
    outputs, _ = parse(requests.post(url(daemon), params={"T": 16}, data=PNGS[1], headers=headers))
    assert (outputs["scores"] == expected[0][1:2]).all()
    for body in (b"", planes[1].tobytes()[:-1], b"abc"):
        check_error(requests.post(url(daemon), data=body, headers=headers), 400, "inputs[0]")
    check_error(requests.post(url(daemon), data=bytes(65 * 256), headers=headers), 413)


def test_the_header_may_come_with_pure_json(daemon):
    request = {"inputs": [tensor("BYTES", [1], data=[base64.b64encode(PNGS[0]).decode()])]}
    n = len(json.dumps(request))
    assert infer(daemon, request, headers={HEADER: str(n)}).status_code == 200
    check_error(infer(daemon, request, headers={HEADER: str(n + 1)}), 400, HEADER)
    check_error(infer(daemon, request, headers={HEADER: str(n - 1)}), 400)
    for value in ("", "-1", "x", "1 ", "99999999999999999999"):
        check_error(infer(daemon, request, headers={HEADER: value}), 400, HEADER)
    head = f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {n}\r\n"
    twice = (head + f"{HEADER}: {n}\r\n" * 2 + "\r\n" + json.dumps(request)).encode()
    assert daemon.raw(twice, half_close=False).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("kind", [None, "application/json", "application/octet-stream", "text/plain", "image/png", "x",
                                  "multipart/form-data; boundary=x"])
def test_content_type_does_not_matter(daemon, kind):
    request, raw = with_pngs(PNGS[0])
    assert infer(daemon, request, raw, headers={"Content-Type": kind} if kind else {}).status_code == 200


def test_versions_path_and_request_id(daemon):
    for i in ("a", "", "caf\u00e9", "x" * 256):
        request, raw = with_pngs(PNGS[0], id=i)
        assert parse(infer(daemon, request, raw, path="/versions/1/infer"))[1]["id"] == i
    check_error(infer(daemon, *with_pngs(PNGS[0], id="x" * 257)), 400, "id: ")


def test_unknown_members_are_ignored_and_null_is_absent(daemon):
    request, raw = with_pngs(PNGS[0], id=None, outputs=None, extra={"a": [[1, {"b": None}], "c"]}, model_name=7)
    request["inputs"][0].update({"more": [[[]]], "data": None})
    request["inputs"][0]["parameters"]["content_type"] = "png"
    assert infer(daemon, request, raw).status_code == 200


def test_parameters_of_the_protocol(daemon):
    quiet = {"sequence_id": 0, "sequence_start": False, "sequence_end": False, "priority": 3, "triton_x": True,
             "timeout": 60_000_000}
    assert infer(daemon, *with_pngs(PNGS[0], parameters=quiet)).status_code == 200
    check_error(infer(daemon, *with_pngs(PNGS[0], parameters={"timeout": 1})), 504, "timeout: ")
    for bad, said in (({"timeout": -1}, "parameters.timeout"), ({"timeout": 1.5}, "parameters.timeout"),
                      ({"timeout": 10, "timeout_ms": 10}, "parameters"), ({"sequence_id": 7}, "parameters: sequences"),
                      ({"sequence_start": True}, "parameters: sequences"), ({"binary_data_output": 1}, "parameters.binary"),
                      ({"timesteps": 0}, "timesteps: "), ({"timesteps": 1.5}, "timesteps: "), ({"neuron": "x"}, "neuron: "),
                      ({"no_such": 1}, "no_such: "), ({"T": 4, "timesteps": 4}, "timesteps: given twice"),
                      ({"timesteps": None}, "timesteps: "), ({"timesteps": [4]}, "parameters.timesteps: "),
                      ({"top_k": 2}, "parameters.top_k: has no place"), ({"trace": "layers"}, "parameters.trace: has no")):
        check_error(infer(daemon, *with_pngs(PNGS[0], parameters=bad)), 400, said)
    request, raw = with_pngs(PNGS[0])
    text = json.dumps(request).encode()
    for query, said in (("T=0", "timesteps"), ("preview=true", "preview: has no place")):
        check_error(requests.post(url(daemon) + "?" + query, data=text + raw, headers={HEADER: str(len(text))}), 400, said)


# ---- infer: the ways out ---------------------------------------------------------------------------------------


def test_outputs_come_as_asked_and_in_that_order(daemon, expected):
    asked = [{"name": "label"}, {"name": "scores", "parameters": {"binary_data": True}}]
    outputs, answer = parse(infer(daemon, *with_pngs(*PNGS, outputs=asked, parameters={"timesteps": 16})))
    assert [o["name"] for o in answer["outputs"]] == ["label", "scores"]
    assert "data" in answer["outputs"][0] and answer["outputs"][1]["parameters"] == {"binary_data_size": 36}
    assert (outputs["scores"] == expected[0]).all() and list(outputs["label"]) == expected[1]


def test_binary_by_default_with_an_exception(daemon, expected):
    asked = [{"name": "scores", "parameters": {"binary_data": False}}, {"name": "label"}, {"name": "spike_count"}]
    parameters = {"binary_data_output": True, "timesteps": 16}
    outputs, answer = parse(infer(daemon, *with_pngs(*PNGS, outputs=asked, parameters=parameters)))
    assert ["data" in o for o in answer["outputs"]] == [True, False, False]
    assert (outputs["scores"] == expected[0]).all() and (outputs["spike_count"] == expected[2]).all()
    for listed in ([], None):
        _, answer = parse(infer(daemon, *with_pngs(PNGS[0], outputs=listed)))
        assert [o["name"] for o in answer["outputs"]] == ["scores", "spike_count", "label"]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("k", [1, 2, 100])
def test_classification(daemon, expected, k, binary):
    asked = [{"name": "scores", "parameters": {"classification": k, "binary_data": binary}}]
    outputs, answer = parse(infer(daemon, *with_pngs(*PNGS, outputs=asked, parameters={"timesteps": 16})))
    k = min(k, 3)
    assert answer["outputs"][0]["datatype"] == "BYTES" and outputs["scores"].shape == (3, k)
    for row, scores in zip(outputs["scores"], expected[0]):
        order = np.argsort(-scores)[:k]
        for text, index in zip(row, order):
            score, i, label = text.split(":")
            assert (np.float32(score), int(i), label) == (scores[index], index, "abc"[index])


def test_classification_without_labels(daemon):
    request, raw = with_pngs(make.picture(1, channels=3), outputs=[{"name": "scores", "parameters": {"classification": 2}}])
    outputs, _ = parse(infer(daemon, request, raw, "rgb"))
    assert [len(t.split(":")) for t in outputs["scores"][0]] == [2, 2]


# ---- compression -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding,pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compression_both_ways(daemon, planes, expected, coding, pack):
    raw = planes[1].tobytes()
    request = {"inputs": [tensor("FP32", [3, 1, 8, 8], parameters={"binary_data_size": len(raw)})],
               "parameters": {"timesteps": 16}}
    text = json.dumps(request).encode()
    r = requests.post(url(daemon), data=pack(text + raw),
                      headers={HEADER: str(len(text)), "Content-Encoding": coding, "Accept-Encoding": coding})
    assert r.headers["Content-Encoding"] == coding and r.headers["Vary"] == "Accept-Encoding"
    assert (parse(r)[0]["scores"] == expected[0]).all()
    for accepted in ("identity", "gzip;q=0, deflate;q=0.0", "br", ""):
        r = requests.post(url(daemon), data=text + raw, headers={HEADER: str(len(text)), "Accept-Encoding": accepted})
        assert "Content-Encoding" not in r.headers
    r = requests.post(url(daemon), data=text + raw, headers={HEADER: str(len(text)), "Accept-Encoding": "br, gzip;q=0.5"})
    assert r.headers["Content-Encoding"] == "gzip"


def test_a_gzip_file_of_several_members(daemon):
    request, raw = with_pngs(PNGS[0])
    text = json.dumps(request).encode()
    body = gzip.compress(text) + gzip.compress(raw)
    r = requests.post(url(daemon), data=body, headers={HEADER: str(len(text)), "Content-Encoding": "gzip"})
    assert r.status_code == 200


def test_damaged_and_foreign_compression(daemon):
    request, raw = with_pngs(PNGS[0])
    packed = gzip.compress(json.dumps(request).encode())
    for body in (b"", packed[:-1], packed[:10], packed + b"x", b"{}", packed[:20] + b"\0" + packed[21:], zlib.compress(b"{}")):
        check_error(requests.post(url(daemon), data=body, headers={"Content-Encoding": "gzip"}), 400, "body: damaged")
    check_error(requests.post(url(daemon), data=b"{}", headers={"Content-Encoding": "deflate"}), 400, "body: damaged")
    for coding in ("br", "gzip, gzip", "zstd"):
        check_error(requests.post(url(daemon), data=b"{}", headers={"Content-Encoding": coding}), 415, "Content-Encoding")


def test_a_bomb_stops_at_the_limit_of_a_body(models_folder):
    """1 GiB of blanks in 1 MiB: refused once 64 KiB came out."""
    with Daemon(models_folder, "--max-body", "65536") as d:
        fits = gzip.compress(b" " * 65536)
        check_error(requests.post(url(d), data=fits, headers={"Content-Encoding": "gzip"}), 400, "body: not JSON")
        for bomb in (gzip.compress(b" " * 65537), gzip.compress(b" " * (1 << 20)), zlib.compress(bytes(40 << 20), 9)):
            coding = "gzip" if bomb[:2] == b"\x1f\x8b" else "deflate"
            check_error(requests.post(url(d), data=bomb, headers={"Content-Encoding": coding}), 413, "body: at most 65536")
        d.wait_no_memory()


# ---- what is refused -------------------------------------------------------------------------------------------

ONE = [0.5] * 64


@pytest.mark.parametrize("request_, status, said", [
    ("", 400, "body: not JSON"), ("[]", 400, "body: expected an object"), ("null", 400, "body: expected an object"),
    ("7", 400, "body: expected an object"), ("{}", 400, "inputs: expected one"), ('{"inputs": []}', 400, "inputs: expected"),
    ('{"inputs": {}}', 400, "inputs: expected an array"), ('{"inputs": [7]}', 400, "inputs[0]: expected an object"),
    ('{"inputs": [[]]}', 400, "inputs[0]: expected an object"), ('{"id": 7}', 400, "id: expected a string"),
    ('{"id": "a", "id": "b"}', 400, "id: given twice"), ('{"inputs": [], "inputs": []}', 400, "inputs: given twice"),
    ('{"parameters": []}', 400, "parameters: expected an object"), ('{"a": 1}}', 400, "body: not JSON"),
    ('{"a": NaN}', 400, "body: not JSON"), ('{"a": 1,}', 400, "body: not JSON"), ("{'a': 1}", 400, "body: not JSON"),
    ('{"a": "\\ud800"', 400, "body: not JSON"), ('{"a": "\xff"}'.encode("latin-1"), 400, "body: not JSON"),
    ('{"a": ' + "[" * 14 + "]" * 14 + "}", 400, "inputs: expected one"),
    ('{"a": ' + "[" * 16 + "]" * 16 + "}", 400, "body: JSON nested deeper"),
    ("[" * 100000, 400, "body: "), ('{"a":' * 100000, 400, "body: JSON nested deeper"),
])
def test_refused_texts(daemon, request_, status, said):
    check_error(requests.post(url(daemon), data=request_), status, said)


@pytest.mark.parametrize("change, status, said", [
    ({"name": "picture"}, 400, "inputs[0].name: the only input"), ({"name": 7}, 400, "inputs[0].name: expected a string"),
    ({"datatype": "FP64"}, 400, "inputs[0].datatype: expected FP32"), ({"datatype": None}, 400, "inputs[0].datatype: missing"),
    ({"shape": None}, 400, "inputs[0].shape: missing"), ({"shape": [64]}, 400, "inputs[0].shape: expected [n, 1, 8, 8]"),
    ({"shape": [1, 8, 8]}, 400, "inputs[0].shape"), ({"shape": [1, 1, 1, 8, 8]}, 400, "inputs[0].shape: more than 4"),
    ({"shape": [-1, 1, 8, 8]}, 400, "inputs[0].shape: expected integers"), ({"shape": [0, 1, 8, 8]}, 400, "inputs[0].shape"),
    ({"shape": ["1", 1, 8, 8]}, 400, "inputs[0].shape: expected a number"),
    ({"shape": [1.5, 1, 8, 8]}, 400, "inputs[0].shape: expected integers"),
    ({"shape": [2 ** 62, 1, 8, 8]}, 400, "inputs[0].shape: expected integers"),
    ({"shape": [65, 1, 8, 8]}, 413, "inputs[0].shape: at most 64"), ({"shape": [2, 1, 8, 8]}, 400, "inputs[0].data: its shape"),
    ({"data": ONE[:-1]}, 400, "inputs[0].data: its shape wants 64 elements, got 63"), ({"data": ONE + [1]}, 400, "inputs[0].data"),
    ({"data": []}, 400, "inputs[0].data"), ({"data": None}, 400, "inputs[0].data: missing"),
    ({"data": 0.5}, 400, "inputs[0].data: expected an array"), ({"data": ONE[:-1] + [None]}, 400, "inputs[0].data: expected numbers"),
    ({"data": ONE[:-1] + ["x"]}, 400, "inputs[0].data: numbers and strings"), ({"data": ONE[:-1] + [True]}, 400, "inputs[0].data"),
    ({"data": [{}]}, 400, "inputs[0].data: expected numbers"), ({"data": ["eA=="]}, 400, "inputs[0].data: expected numbers"),
    ({"data": [0.5] * (64 * 64 + 1)}, 413, "inputs[0].data: more numbers"),
    ({"parameters": {"binary_data_size": 256}}, 400, "inputs[0]: both data"),
    ({"datatype": "UINT8"}, 400, "inputs[0].data[0]: expected an integer from 0 to 255"),
    ({"datatype": "UINT8", "data": [1] * 63 + [256]}, 400, "inputs[0].data[63]: expected an integer"),
    ({"datatype": "UINT8", "data": [-1] * 64}, 400, "inputs[0].data[0]: expected an integer"),
    ({"datatype": "BYTES"}, 400, "inputs[0].shape: expected [n]"), ({"datatype": "BYTES", "shape": [64]}, 400, "inputs[0].data"),
    ({"datatype": "BYTES", "shape": [1], "data": ["!"]}, 422, "inputs[0].data[0]: not base64"),
    ({"datatype": "BYTES", "shape": [1], "data": ["eA=="]}, 422, "images[0]: not a PNG"),
    ({"datatype": "BYTES", "shape": [2], "data": ["eA=="]}, 400, "inputs[0].data: its shape wants 2"),
])
def test_refused_tensors(daemon, change, status, said):
    t = {k: v for k, v in {**tensor("FP32", [1, 1, 8, 8], data=ONE), **change}.items()}
    check_error(infer(daemon, {"inputs": [t]}), status, said)


def test_not_finite_numbers_are_refused(daemon):
    for number in ("1e39", "-1e999", "1" + "0" * 300):
        body = '{"inputs":[{"name":"image","shape":[1,1,8,8],"datatype":"FP32","data":[%s]}]}' % ",".join(["0"] * 63 + [number])
        check_error(requests.post(url(daemon), data=body), 400, "inputs[0].data[63]: not a finite")
    body = '{"inputs":[{"data":[%s]}]}' % ("1" * 401)
    check_error(requests.post(url(daemon), data=body), 400, "inputs[0].data: a number of more than")
    values = np.zeros(64, dtype="<f4")
    values[5] = np.nan
    t = tensor("FP32", [1, 1, 8, 8], parameters={"binary_data_size": 256})
    check_error(infer(daemon, {"inputs": [t]}, values.tobytes()), 400, "inputs[0].data[5]: not a finite")


@pytest.mark.parametrize("shape, raw, status, said", [
    ([1], elements(b"") [:3], 400, "inputs[0]: binary data ends"), ([1], elements(b"ab")[:-1], 400, "inputs[0]: element 0"),
    ([1], elements(b"ab") + b"c", 400, "inputs[0]: binary data is longer"), ([2], elements(b"ab"), 400, "inputs[0]: binary data ends"),
    ([1], struct.pack("<I", 2 ** 32 - 1) + b"x", 400, "inputs[0]: element 0"), ([1], elements(b"ab"), 422, "images[0]")])
def test_refused_elements(daemon, shape, raw, status, said):
    t = tensor("BYTES", shape, parameters={"binary_data_size": len(raw)})
    check_error(infer(daemon, {"inputs": [t]}, raw), status, said)


def test_binary_sizes_that_do_not_fit(daemon):
    raw = bytes(256)
    for size in (255, 257, 0, 2 ** 63, 2 ** 70, "256", -1, 1.5):
        t = tensor("FP32", [1, 1, 8, 8], parameters={"binary_data_size": size})
        check_error(infer(daemon, {"inputs": [t]}, raw), 400, "inputs[0].parameters.binary_data_size")
    t = tensor("FP32", [1, 1, 8, 8], parameters={"binary_data_size": 252})
    check_error(infer(daemon, {"inputs": [t]}, raw[:252]), 400, "inputs[0]: its shape wants 256 bytes")
    check_error(infer(daemon, {"inputs": [tensor("FP32", [1, 1, 8, 8], data=ONE)]}, b"more"), 400, "body: bytes behind")


@pytest.mark.parametrize("outputs, said", [
    ([{"name": "probs"}], "outputs.name: there is no 'probs'"), ([{}], "outputs.name: missing"), ([7], "outputs: expected"),
    ({}, "outputs: expected an array"), ([{"name": "scores"}, {"name": "scores"}], "scores: asked for twice"),
    ([{"name": "label", "parameters": {"classification": 1}}], "outputs.parameters.classification: only"),
    ([{"name": "scores", "parameters": {"classification": -1}}], "outputs.parameters.classification: expected"),
    ([{"name": "scores", "parameters": {"binary_data": 1}}], "outputs.parameters.binary_data: expected a boolean"),
    ([{"name": "scores"}] * 5, "scores: asked for twice")])
def test_refused_outputs(daemon, outputs, said):
    check_error(infer(daemon, *with_pngs(PNGS[0], outputs=outputs)), 400, said)


def test_a_megabyte_of_numbers_is_held_as_floats(models_folder):
    """7 MB of text are at most 3.5 million numbers; what they take is far below a node each."""
    with Daemon(models_folder) as d:
        def resident():
            with open(f"/proc/{d.process.pid}/status") as f:
                return int([line for line in f if line.startswith("VmHWM")][0].split()[1])

        d.classify(PNGS[0], "slow", T=1)
        before = resident()
        body = ('{"inputs":[{"name":"image","shape":[64,3,32,32],"datatype":"FP32","data":[' + "0," * (64 * 3072 - 1) +
                "0" + "]}" + " " * (6 << 20) + '],"parameters":{"timesteps":1}}')
        assert requests.post(url(d, model="slow"), data=body, timeout=180).status_code == 200
        assert resident() - before < 64 * 1024, "KiB"
        d.wait_no_memory()


# ---- statistics and repository ---------------------------------------------------------------------------------


def test_statistics_count_images_batches_and_failures(models_folder):
    with Daemon(models_folder) as d:
        def stats(path="/v2/models/tiny/stats"):
            return requests.get(d.url + path).json()["model_stats"]

        first, = stats()
        assert (first["name"], first["version"], first["inference_count"], first["execution_count"]) == ("tiny", "1", 0, 0)
        assert first["last_inference"] == 0
        infer(d, *with_pngs(*PNGS))
        d.classify(PNGS[0])
        for refused in ({"timesteps": 0}, {"neuron": "x"}):
            infer(d, *with_pngs(PNGS[0], parameters=refused))
        requests.post(url(d), data=b"{}", headers={"Content-Encoding": "br"})
        s, = stats()
        assert (s["inference_count"], s["execution_count"]) == (4, 2) and s["last_inference"] > 1.7e12
        timed = s["inference_stats"]
        assert {k: v["count"] for k, v in timed.items()} == {
            "success": 2, "fail": 3, "queue": 2, "compute_input": 2, "compute_infer": 2, "compute_output": 2,
            "cache_hit": 0, "cache_miss": 0}
        assert timed["success"]["ns"] >= timed["compute_infer"]["ns"] > 0 and timed["fail"]["ns"] > 0
        assert {b["batch_size"]: b["compute_infer"]["count"] for b in s["batch_stats"]} == {1: 1, 3: 1}
        assert stats("/v2/models/tiny/versions/1/stats") == [s]
        assert [m["name"] for m in stats("/v2/models/stats") if m["name"] != "lenet-mnist"] == ["rgb", "slow", "tiny", "wide"]


@pytest.fixture
def admin(models_folder, tmp_path):
    folder = tmp_path / "models"
    for name in ("tiny", "rgb", "broken"):
        (folder / name).mkdir(parents=True)
        (folder / name / "model.safetensors").write_bytes((models_folder / name / "model.safetensors").read_bytes())
    with Daemon(folder, token_file=tmp_path / "token") as d:
        d.folder = folder
        yield d


def test_repository_index(admin):
    index = admin.admin("POST", "/v2/repository/index").json()
    assert [(m["name"], m["version"], m["state"]) for m in index] == [
        ("broken", "1", "UNAVAILABLE"), ("rgb", "1", "READY"), ("tiny", "1", "READY")]
    assert index[0]["reason"] and not index[1]["reason"]
    ready = admin.admin("POST", "/v2/repository/index", json={"ready": True}).json()
    assert [m["name"] for m in ready] == ["rgb", "tiny"]
    check_error(admin.admin("POST", "/v2/repository/index", json={"ready": 1}), 400, "ready: ")
    check_error(admin.admin("POST", "/v2/repository/index", data="nonsense"), 400, "body: not JSON")
    check_error(admin.admin("POST", "/v2/repository/index", data="x" * 70000), 413)


@pytest.mark.parametrize("base", ["/v1/models/", "/v2/repository/models/"])
def test_unload_and_load(admin, base):
    sha256 = requests.get(admin.url + "/v1/models/tiny").json()["model_version"]
    r = admin.admin("POST", base + "tiny/unload", json={"parameters": {"unload_dependents": False}})
    assert r.status_code == 200 and r.json() == {"name": "tiny", "state": "unavailable"}
    check_error(requests.get(url(admin, "/ready")), 404)
    assert admin.admin("POST", base + "tiny/unload").status_code == 404
    r = admin.admin("POST", base + "tiny/load", json={})
    assert r.status_code == 200 and r.json() == {"name": "tiny", "state": "ready", "model_version": sha256}
    assert infer(admin, *with_pngs(PNGS[0])).status_code == 200


@pytest.mark.parametrize("base", ["/v1/models/", "/v2/repository/models/"])
def test_loads_that_fail_leave_the_old_one_serving(admin, base):
    before = parse(infer(admin, *with_pngs(PNGS[0])))[0]["scores"].tolist()
    (admin.folder / "tiny/model.safetensors").write_bytes(b"nonsense")
    r = admin.admin("POST", base + "tiny/load")
    assert r.status_code == 400 and str(admin.folder) not in r.text
    assert admin.admin("POST", base + "none/load").status_code == 404
    assert admin.admin("POST", base + "..%2ftiny/load").status_code in (400, 404)
    assert admin.admin("POST", base + "rgb/load", json={"parameters": {"config": "{}"}}).status_code == 400
    assert admin.admin("POST", base + "rgb/load", data="[]").status_code == 400
    assert parse(infer(admin, *with_pngs(PNGS[0])))[0]["scores"].tolist() == before
    index = {m["name"]: m for m in admin.admin("POST", "/v2/repository/index").json()}
    assert index["tiny"]["state"] == "READY" and index["tiny"]["reason"]


def test_repository_is_not_on_the_public_listener(daemon):
    for path in ("/v2/repository/index", "/v2/repository/models/tiny/unload", "/v1/models/tiny/unload"):
        assert requests.post(daemon.url + path).status_code == 404
