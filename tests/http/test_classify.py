"""The classify route: forms of body, options, the answer's shape and arithmetic."""
import base64
import concurrent.futures
import json
import math
import zlib

import numpy as np
import pytest
import requests

import models as make


def strip(answer):
    """An answer without what differs from run to run."""
    return {k: v for k, v in answer.items() if k != "latency_ms"}


def b64(png):
    return base64.b64encode(png).decode()


def test_answer_has_the_documented_shape(daemon):
    r = daemon.classify(make.picture(1), T=16, trace="layers")
    assert r.status_code == 200 and r.headers["Content-Type"] == "application/json"
    a = r.json()
    assert list(a) == ["model", "model_version", "calibration", "timesteps", "neuron", "init", "shift", "encoding",
                       "readout", "precision", "results", "latency_ms"]
    assert (a["model"], a["timesteps"], a["neuron"], a["init"], a["shift"]) == ("tiny", 16, "if", "half", 0)
    assert (a["encoding"], a["readout"], a["precision"]) == ("direct", "potential", "int8")
    assert a["calibration"] is None and len(a["model_version"]) == 64
    result, = a["results"]
    assert set(result) == {"class", "top", "scores", "spikes", "timesteps_used", "energy"}
    assert result["timesteps_used"] == 16 and len(result["scores"]) == 3
    best = int(np.argmax(result["scores"]))
    assert result["class"] == result["top"][0]
    assert result["class"]["index"] == best and result["class"]["label"] == "abc"[best]
    assert [t["score"] for t in result["top"]] == sorted(result["scores"], reverse=True)
    e = np.exp(np.array(result["scores"]) - max(result["scores"]))
    for t in result["top"]:
        assert math.isclose(t["probability"], (e / e.sum())[t["index"]], rel_tol=1e-6)
    assert set(a["latency_ms"]) == {"queue", "decode", "simulate", "total"}
    assert a["latency_ms"]["total"] >= a["latency_ms"]["simulate"] > 0


def test_spikes_and_energy_add_up(daemon):
    result, = daemon.classify(make.picture(2), T=20, trace="layers").json()["results"]
    model = requests.get(daemon.url + "/v1/models/tiny").json()
    spikes = result["spikes"]
    layer, = spikes["layers"]
    assert layer["name"] == "conv1" and layer["neurons"] == 6 * 64 == model["neurons"]
    assert spikes["total"] == layer["spikes"] > 0
    assert math.isclose(layer["rate"], layer["spikes"] / (384 * 20), rel_tol=1e-6)
    assert math.isclose(spikes["per_neuron_step"], layer["rate"], rel_tol=1e-6)
    assert layer["spikes"] / 20 <= layer["fired"] <= min(layer["neurons"], layer["spikes"])
    assert 1 <= layer["first_spike_step"] <= 20
    one, = daemon.classify(make.picture(2), T=1, trace="layers").json()["results"][0]["spikes"]["layers"]
    assert (one["first_spike_step"], one["fired"]) == (1, one["spikes"])  # in one step everyone's spike is the first
    asg, = daemon.classify(make.picture(2), T=20, neuron="asg", trace="layers").json()["results"][0]["spikes"]["layers"]
    assert asg["first_spike_step"] is None and asg["fired"] > 0  # it knows no steps
    assert spikes["synaptic_operations"] == 3 * spikes["total"]  # each neuron feeds the three classes
    first_layer_macs = 6 * (8 * 3 - 2) ** 2
    assert math.isclose(result["energy"]["snn_nj"],
                        0.9e-3 * spikes["synaptic_operations"] + 4.6e-3 * first_layer_macs, rel_tol=1e-6)
    assert math.isclose(result["energy"]["ann_nj"], 4.6e-3 * model["macs"], rel_tol=1e-6)
    assert "layers" not in daemon.classify(make.picture(2)).json()["results"][0]["spikes"]


def test_latency_is_also_server_timing(daemon):
    r = daemon.classify(make.picture(1))
    sent = dict(item.strip().split(";dur=") for item in r.headers["Server-Timing"].split(","))
    assert {k: float(v) for k, v in sent.items()} == {k: round(v, 3) for k, v in r.json()["latency_ms"].items()}


def test_scores_round_trip_as_float32(daemon):
    for score in daemon.classify(make.picture(3)).json()["results"][0]["scores"]:
        assert float(np.float32(score)) == pytest.approx(score, rel=1e-8)


def test_defaults_come_from_the_model(daemon):
    assert daemon.classify(make.picture(1)).json()["timesteps"] == 12


def test_the_three_forms_agree(daemon):
    pngs = [make.picture(i) for i in range(3)]
    url = daemon.url + "/v1/models/tiny/classify"
    parts = [("image", (f"{i}.png", p, "image/png")) for i, p in enumerate(pngs)]
    by_query = requests.post(url, params={"T": 8}, files=parts).json()
    by_part = requests.post(url, files=parts + [("options", (None, '{"timesteps": 8}'))]).json()
    by_json = daemon.classify_json({"images": [b64(p) for p in pngs], "T": 8}).json()
    one_by_one = [daemon.classify(p, timesteps=8).json()["results"][0] for p in pngs]
    assert strip(by_query) == strip(by_part) == strip(by_json)
    assert by_json["results"] == one_by_one
    assert len({json.dumps(r["scores"]) for r in one_by_one}) == 3


def test_png_without_content_type(daemon):
    url = f"{daemon.url}/v1/models/tiny/classify"
    r = requests.Request("POST", url, data=make.picture(1)).prepare()
    r.headers.pop("Content-Type", None)
    with requests.Session() as s:
        assert s.send(r).status_code == 200
    r = requests.Request("POST", url, data=b"{}").prepare()
    r.headers.pop("Content-Type", None)
    with requests.Session() as s:
        assert s.send(r).status_code == 415


def test_chunked_upload_and_expect_continue(daemon):
    url = f"{daemon.url}/v1/models/tiny/classify"
    png = make.picture(4)
    chunked = requests.post(url, data=iter([png[:10], png[10:]]), headers={"Content-Type": "image/png"})
    assert chunked.status_code == 200
    head = (f"POST /v1/models/tiny/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            f"Content-Length: {len(png)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n").encode()
    got = daemon.raw(head, png, pause=0.2, half_close=False)
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_reference_is_the_float_network(daemon):
    """At many steps the spiking scores come close to those of the source network."""
    result, = daemon.classify(make.picture(5), T=2000, reference="true").json()["results"]
    assert result["reference"]["scores"] == pytest.approx(result["scores"], abs=0.05)
    assert result["reference"]["class"]["index"] == int(np.argmax(result["reference"]["scores"]))
    assert "reference" not in daemon.classify(make.picture(5)).json()["results"][0]


def decode_gray(png):
    """Pixels of a small PNG, by the unfiltering of RFC 2083."""
    at, data, width, height = 8, b"", 0, 0
    while at < len(png):
        n, kind = int.from_bytes(png[at:at + 4], "big"), png[at + 4:at + 8]
        content = png[at + 8:at + 8 + n]
        if kind == b"IHDR":
            width, height = int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")
            assert content[8:10] == b"\x08\x00"
        if kind == b"IDAT":
            data += content
        at += n + 12
    raw, rows, before = zlib.decompress(data), [], [0] * width
    for y in range(height):
        filtering, line = raw[y * (width + 1)], list(raw[y * (width + 1) + 1:(y + 1) * (width + 1)])
        for x in range(width):
            a, b, c = (line[x - 1] if x else 0), before[x], (before[x - 1] if x else 0)
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[x] = (line[x] + [0, a, b, (a + b) // 2, nearest][filtering]) & 255
        rows.append(line)
        before = line
    return np.array(rows)


def test_preview_shows_what_the_network_sees(daemon):
    pixels = np.kron(np.arange(64).reshape(8, 8) * 4, np.ones((4, 4)))  # 32x32: area resampling gives the 8x8 back
    result, = daemon.classify(make.png(pixels), preview="true").json()["results"]
    assert (decode_gray(base64.b64decode(result["input_png"])) == np.arange(64).reshape(8, 8) * 4).all()


def test_labels_are_null_without_them(daemon):
    result, = daemon.classify(make.picture(1, 8, 3), model="rgb").json()["results"]
    assert result["class"]["label"] is None and len(result["top"]) == 4


def test_top_k(daemon):
    assert len(daemon.classify(make.picture(1), top_k=2).json()["results"][0]["top"]) == 2
    assert len(daemon.classify(make.picture(1), top_k=50).json()["results"][0]["top"]) == 3


@pytest.mark.parametrize("options,said", [
    ({"T": "0"}, "timesteps: expected an integer from 1 to 4096, got '0'"),
    ({"T": "4097"}, "timesteps: expected an integer from 1 to 4096, got '4097'"),
    ({"timesteps": "-1"}, "timesteps: expected an integer from 1 to 4096, got '-1'"),
    ({"timesteps": "1e3"}, "timesteps: expected an integer from 1 to 4096, got '1e3'"),
    ({"timesteps": ""}, "timesteps: expected an integer from 1 to 4096, got an empty text"),
    ({"timesteps": "99999999999999999999"}, "timesteps: expected an integer"),
    ({"T": "8", "timesteps": "8"}, "timesteps: given twice"),
    ({"neuron": "adex"}, "neuron: expected one of: if"),
    ({"init": "quarter"}, "init: expected one of: zero, half, weights, data, compensated, matched; got 'quarter'"),
    ({"init": "compensated"}, "init: 'compensated' needs a table for neuron 'if'"),
    ({"encoding": "spikes"}, "encoding: expected one of: direct, rate, regular"),
    ({"readout": "counts"}, "readout: expected one of: potential, count"),
    ({"readout": "count"}, "readout: 'count' needs a threshold of the output layer"),
    ({"precision": "int16"}, "precision: expected one of: float32, int8"),
    ({"shift": "2"}, "shift: expected an integer from 0 to 1, got '2'"),
    ({"trace": "spikes"}, "trace: expected one of: none, layers, steps; got 'spikes'"),
    ({"reference": "maybe"}, "reference: expected true or false, got 'maybe'"),
    ({"top_k": "0"}, "top_k: expected an integer from 1 to 100, got '0'"),
    ({"timeout_ms": "0"}, "timeout_ms: expected an integer from 1"),
    ({"tau": "0"}, "tau: expected a number above 0 and at most 1, got '0'"),
    ({"tau": "inf"}, "tau: expected a number above 0 and at most 1, got 'inf'"),
    ({"stop": "0.5"}, "stop: expected a margin from 0 to 1 and a patience from 1 to 4096 steps, such as"),
    ({"stop": "0.5,0"}, "stop: expected a margin"),
    ({"stop": "1.5,2"}, "stop: expected a margin"),
    ({"stop": "nan,2"}, "stop: expected a margin"),
    ({"stop": '{"margin": 0.5}'}, "stop: expected a margin"),
    ({"stop": '{"margin": 0.5, "patience": 2.5}'}, "stop: expected a margin"),
    ({"stop": '{"margin": 0.5, "patience": 2, "more": 1}'}, "stop: expected a margin"),
    ({"seed": "-1"}, "seed: expected an integer from 0 to 4294967295, got '-1'"),
    ({"seed": "4294967296"}, "seed: expected an integer from 0 to 4294967295, got '4294967296'"),
    ({"budget_ms": "0"}, "budget_ms: expected an integer from 1"),
    ({"neuron": "asg", "stop": "0.5,2"}, "stop: neuron asg runs all timesteps at once"),
    ({"neuron": "asg", "budget_ms": "5"}, "budget_ms: neuron asg runs all timesteps at once"),
    ({"neuron": "asg", "trace": "steps"}, "trace: neuron asg runs all timesteps at once"),
    ({"early": "0.5"}, "early: unknown option; there are: timesteps, neuron"),
    ({"": "1"}, "(empty name): unknown option"),
])
def test_bad_option_in_query(daemon, options, said):
    check_problem(daemon.classify(make.picture(1), **options), 400, said)


@pytest.mark.parametrize("member,said", [
    ('"T": 0', "timesteps: expected an integer from 1 to 4096, got 0"),
    ('"T": 8.0', "timesteps: expected an integer from 1 to 4096, got a number with a fraction"),
    ('"T": "8"', "timesteps: expected an integer from 1 to 4096, got '8'"),
    ('"T": null', "timesteps: expected an integer from 1 to 4096, got null"),
    ('"T": 8, "timesteps": 9', "timesteps: given twice"),
    ('"T": 8, "T": 8', "body: not JSON: line 1"),
    ('"neuron": 3', "neuron: expected one of: if"),
    ('"neuron": ["if"]', "neuron: expected one of: if, if-hard, lif, lif-soft, srif, srif-mpr, asg, if-signed; got an array"),
    ('"reference": "true"', "reference: expected true or false, got 'true'"),
    ('"reference": 1', "reference: expected true or false, got 1"),
    ('"stop": {"margin": 1}', "stop: expected a margin"),
    ('"stop": {"margin": "1", "patience": 2}', "stop: expected a margin"),
    ('"stop": {"margin": 2, "patience": 2}', "stop: expected a margin from 0 to 1 and a patience from 1 to 4096 steps, "
     'such as {"margin": 0.9, "patience": 3} or in a query 0.9,3; got a margin of 2 and a patience of 2'),
    ('"stop": [0.5, 2]', "stop: expected a margin"),
    ('"seed": 1.5', "seed: expected an integer"),
    ('"T": 9223372036854775808', "body: not JSON"),
])
def test_bad_option_in_json(daemon, member, said):
    check_problem(daemon.classify_json('{"images": ["%s"], %s}' % (b64(make.picture(1)), member)), 400, said)


def check_problem(r, status, said=""):
    assert r.status_code == status, r.text
    p = r.json()
    assert r.headers["Content-Type"] == "application/problem+json"
    assert set(p) == {"type", "title", "status", "detail", "instance", "error"}
    assert p["status"] == status and p["detail"] == p["error"]
    assert p["detail"].startswith(said), p["detail"]
    assert p["instance"] == "urn:spiked:request:" + r.headers["X-Request-Id"]
    assert ("Retry-After" in r.headers) == (status in (429, 503))


def test_an_option_in_query_and_part_is_given_twice(daemon):
    files = [("image", ("a.png", make.picture(1))), ("options", (None, '{"timesteps": 8}'))]
    check_problem(requests.post(daemon.url + "/v1/models/tiny/classify", params={"T": 8}, files=files), 400,
                  "timesteps: given twice")


@pytest.mark.parametrize("body,status,said", [
    ("", 400, "body: not JSON"),
    ("[1]", 400, "body: expected a JSON object"),
    ("{}", 400, "images: expected an array of base64 PNGs, got nothing"),
    ('{"images": "x"}', 400, "images: expected an array of base64 PNGs, got a string"),
    ('{"images": []}', 400, "images: expected 1 to 64 pictures, got none"),
    ('{"images": [1]}', 400, "images[0]: expected a base64 string, got an integer"),
    ('{"images": ["@@@@"]}', 422, "images[0]: not base64 at character 0"),
    ('{"images": ["AAAA"]}', 422, "images[0]: "),
    ('{"images": [""]}', 422, "images[0]: "),
    ('{"images": ' + "[" * 40 + "]" * 40 + "}", 400, "body: JSON nested deeper than 16"),
    ('{"images": [' + "[]," * 5000 + "[]]}", 400, "body: JSON of more than 4096 values"),
    ('{"images": ["\\u0000"]}', 400, "body: not JSON"),
    (b'{"images": ["\xff"]}', 400, "body: not JSON"),
])
def test_bad_json_body(daemon, body, status, said):
    check_problem(daemon.classify_json(body), status, said)


def test_bad_picture_is_named(daemon):
    good = make.picture(1)
    check_problem(daemon.classify_json({"images": [b64(good), b64(good), b64(good[:60])]}), 422, "images[2]: ")
    check_problem(daemon.classify(good[:60]), 422, "image: ")
    check_problem(daemon.classify(b"GIF89a"), 422, "image: ")
    check_problem(daemon.classify(b""), 422, "image: ")
    parts = [("image", ("a", good)), ("image", ("b", b"no"))]
    check_problem(requests.post(daemon.url + "/v1/models/tiny/classify", files=parts), 422, "images[1]: ")


def test_bombs_and_crowds_are_too_large(daemon):
    check_problem(daemon.classify(make.bomb(60000, 60000)), 413, "image: ")
    check_problem(daemon.classify(make.bomb(4097, 1)), 413, "image: ")
    many = [b64(make.picture(1))] * 65
    check_problem(daemon.classify_json({"images": many}), 413, "images: at most 64 pictures")
    half = b64(make.png(np.zeros((2048, 4096))))
    check_problem(daemon.classify_json({"images": [half, half, b64(make.picture(1))]}), 413, "images[2]: ")
    check_problem(daemon.classify_json({"images": many[:8], "T": 4096}), 413,
                  "timesteps: 8 pictures times 4096 steps is over the limit of 16384")
    parts = [("image", (str(i), make.picture(1))) for i in range(65)]
    check_problem(requests.post(daemon.url + "/v1/models/tiny/classify", files=parts), 413, "images: at most 64")


def test_bad_multipart(daemon):
    url = daemon.url + "/v1/models/tiny/classify"
    png = make.picture(1)
    check_problem(requests.post(url, files=[("picture", ("a", png))]), 400, "picture: unknown part")
    two = [("image", ("a", png)), ("options", (None, "{}")), ("image", ("b", png)), ("options", (None, "{}"))]
    check_problem(requests.post(url, files=two), 400, "options: part given twice")
    check_problem(requests.post(url, files=[("image", ("a", png)), ("options", (None, "nope"))]), 400,
                  "options: not JSON")
    check_problem(requests.post(url, files=[("options", (None, "{}"))]), 400, "images: expected 1 to 64")
    check_problem(requests.post(url, files=[("image", ("a", png)), ("options", (None, " " * 20000))]), 413, "options: ")
    frame = b"--B\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n" + png
    for body, kind in ((frame, "multipart/form-data; boundary=B"), (frame + b"\r\n--B--\r\n", "multipart/form-data")):
        check_problem(requests.post(url, data=body, headers={"Content-Type": kind}), 400, "body: malformed multipart")


def test_media_types(daemon):
    url = daemon.url + "/v1/models/tiny/classify"
    for kind in ("text/plain", "image/pngx", "image/jpeg"):
        check_problem(requests.post(url, data=make.picture(1), headers={"Content-Type": kind}), 415, "Content-Type: ")
    for kind in ("IMAGE/PNG", "image/png; charset=binary", "image/png ;x"):
        assert requests.post(url, data=make.picture(1), headers={"Content-Type": kind}).status_code == 200
    for kind in ("application/x-www-form-urlencoded", "application/octet-stream"):  # what curl --data-binary says
        assert requests.post(url, data=make.picture(1), headers={"Content-Type": kind}).status_code == 200
        check_problem(requests.post(url, data=b"a=b", headers={"Content-Type": kind}), 415, "Content-Type: ")
    packed = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
    check_problem(requests.post(url, data=make.picture(1), headers=packed), 415, "Content-Encoding: ")


@pytest.mark.parametrize("neuron", ["if", "if-hard", "lif", "lif-soft", "srif", "srif-mpr", "asg", "if-signed"])
def test_every_neuron(daemon, neuron):
    a = daemon.classify(make.picture(1), neuron=neuron, T=8, trace="layers").json()
    assert a["neuron"] == neuron and a["results"][0]["spikes"]["total"] > 0
    assert ("tau" in a) == neuron.startswith("lif")
    assert a["results"][0]["spikes"].get("ternary", False) == (neuron == "if-signed")


def test_tau_of_one_does_not_leak(daemon):
    def results(**options):
        return daemon.classify(make.picture(1), T=8, **options).json()["results"]
    assert results(neuron="lif", tau=1) == results(neuron="if-hard")
    assert results(neuron="lif-soft", tau="1.0") == results(neuron="if")
    assert results(neuron="srif", init="zero") == results(neuron="if", init="half")
    assert results(init="zero", shift=1) != results(init="zero")
    body = '{"images": ["%s"], "T": 8, "neuron": "lif", "tau": 0.5}' % b64(make.picture(1))
    assert daemon.classify_json(body).json()["results"] == results(neuron="lif", tau="0.5")


def test_unknown_model(daemon):
    for name in ("nobody", "broken", "empty", "bad%20name", "..%2F..%2Fetc", "x" * 65):
        check_problem(requests.post(f"{daemon.url}/v1/models/{name}/classify", data=b""), 404)


def test_a_refusal_keeps_the_connection(daemon):
    with requests.Session() as s:
        for _ in range(3):
            r = s.post(daemon.url + "/v1/models/nobody/classify", data=b"x" * 200000)
            check_problem(r, 404)
            assert r.headers.get("Connection", "").lower() != "close"


def test_parallel_answers_equal_serial_ones(daemon):
    jobs = [(make.picture(i % 7), {"T": 4 + i % 3, "init": ("zero", "half")[i % 2]}) for i in range(120)]
    serial = [strip(daemon.classify(png, **o).json()) for png, o in jobs[:42]]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        parallel = list(pool.map(lambda job: daemon.classify(job[0], **job[1]), jobs))
    assert [r.status_code for r in parallel] == [200] * len(jobs)
    for i, r in enumerate(parallel):
        assert strip(r.json()) == serial[i % 42]


def test_waiting_requests_share_runs(daemon):
    """Behind a long request, equal ones gather: their simulate times are those of one run."""
    t = daemon.slow_timesteps(1.0)
    big = make.picture(1, 32, 3)
    with concurrent.futures.ThreadPoolExecutor(9) as pool:
        first = pool.submit(daemon.classify, big, "slow", T=t)
        daemon.wait_in_flight(1)
        rest = [pool.submit(daemon.classify, make.picture(i, 32, 3), "slow", T=8) for i in range(8)]
        assert first.result().status_code == 200
        answers = [f.result().json() for f in rest]
    times = [a["latency_ms"]["simulate"] for a in answers]
    assert len(set(times)) < len(times), times
    for i, a in enumerate(answers):
        assert strip(a) == strip(daemon.classify(make.picture(i, 32, 3), "slow", T=8).json())


def test_who_shares_a_run_has_its_own_answer(daemon):
    """Behind a long request: several pictures in one, one whose picture is broken, one with traces, one with a reference."""
    t = daemon.slow_timesteps(0.5)
    pictures = [make.picture(i, 32, 3) for i in range(12)]
    broken = bytearray(pictures[0])
    broken[-20] ^= 255  # still a header of the right size, small enough to be decoded where it is simulated
    jobs = [lambda: daemon.classify(pictures[0], "slow", T=8), lambda: daemon.classify(bytes(broken), "slow", T=8),
            lambda: daemon.classify_json({"images": [b64(p) for p in pictures], "T": 8}, "slow"),
            lambda: daemon.classify(pictures[1], "slow", T=8, trace="layers"),
            lambda: daemon.classify(pictures[2], "slow", T=8, reference="true"),
            lambda: daemon.classify_json({"images": [b64(p) for p in pictures[3:6]], "T": 8}, "slow"),
            lambda: daemon.classify(pictures[3], "slow", T=8, top_k=2)]
    alone = [job() for job in jobs]
    assert [r.status_code for r in alone] == [200, 422, 200, 200, 200, 200, 200]
    for _ in range(2):
        with concurrent.futures.ThreadPoolExecutor(2 * len(jobs) + 1) as pool:
            first = pool.submit(daemon.classify, pictures[0], "slow", T=t)
            daemon.wait_in_flight(1)
            together = [pool.submit(job) for job in 2 * jobs]
            for i, f in enumerate(together):
                want, got = alone[i % len(jobs)], f.result()
                assert got.status_code == want.status_code
                if want.status_code == 200:
                    assert strip(got.json()) == strip(want.json())
                else:
                    check_problem(got, 422, "image: ")
            assert first.result().status_code == 200
    daemon.wait_no_memory()


def test_where_packets_end_does_not_matter(daemon):
    """A body that comes in two packets, cut anywhere about the header of a part: always the same parts."""
    part = '--boundary\r\nContent-Disposition: form-data; name="image"; filename="{}.png"\r\nContent-Type: image/png\r\n\r\n'
    first, second = (part.format(i).encode() + make.picture(i) + b"\r\n" for i in (1, 2))
    options = b'--boundary\r\nContent-Disposition: form-data; name="options"\r\n\r\n{"timesteps": 3}\r\n'
    body = first + second + options + b"--boundary--\r\n"
    head = (f"POST /v1/models/tiny/classify HTTP/1.1\r\nHost: {daemon.address}\r\nConnection: close\r\n"
            f"Content-Type: multipart/form-data; boundary=boundary\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    begins = [body.index(b"\r\n\r\n"), len(first) + second.index(b"\r\n\r\n"), len(first + second) + options.index(b"\r\n\r\n")]
    answers = set()
    for cut in sorted({at for begin in begins for at in range(begin - 3, begin + 14)} | {len(body) - k for k in range(1, 12)}):
        got = daemon.raw(head + body[:cut], body[cut:], pause=0.004, half_close=False)
        assert got.startswith(b"HTTP/1.1 200 "), (cut, got)
        answers.add(json.dumps(json.loads(got.split(b"\r\n\r\n", 1)[1])["results"]))
    assert len(answers) == 1 and len(json.loads(answers.pop())) == 2
