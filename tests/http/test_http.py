"""HTTP itself: routes, methods, headers, limits, hostile bytes."""
import json
import time

import pytest
import requests

import models as make
from conftest import Daemon
from test_classify import check_problem


def test_index_points_at_the_api(daemon):
    r = requests.get(daemon.url + "/")
    assert r.status_code == 200 and any("/classify" in line for line in r.json()["api"])


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/v2/health/live", "/v2/health/ready"])
def test_health(daemon, path):
    assert requests.get(daemon.url + path).status_code == 200


def test_models_are_listed_in_order_without_the_bad_ones(daemon):
    names = [m["name"] for m in requests.get(daemon.url + "/v1/models").json()["models"]]
    assert [n for n in names if n != "lenet-mnist"] == ["rgb", "slow", "tiny", "wide"]


def test_model_description(daemon):
    m = requests.get(daemon.url + "/v1/models/tiny").json()
    assert (m["name"], m["classes"], m["labels"], m["neurons"]) == ("tiny", 3, ["a", "b", "c"], 384)
    assert m["input"] == {"channels": 1, "height": 8, "width": 8, "mean": [0.5], "std": [0.25], "background": 0}
    assert [(x["name"], x["kind"], x["shape"]) for x in m["layers"]] == [
        ("image", "input", [1, 8, 8]), ("conv1", "conv", [6, 8, 8]), ("conv1", "neuron", [6, 8, 8]),
        ("out", "conv", [3, 1, 1])]
    assert m["parameters"] == sum(x["parameters"] for x in m["layers"]) == 6 * 9 + 6 + 384 * 3 + 3
    assert m["defaults"] == {"timesteps": 12, "neuron": "if", "init": "half", "shift": 0, "encoding": "direct",
                             "readout": "potential", "precision": "int8", "top_k": 5, "trace": "none"}
    assert "if" in m["variants"]["neuron"] and {"zero", "half"} <= set(m["variants"]["init"])
    assert m["calibration"] is None and m["limits"]["images"] == 64 and m["limits"]["timesteps"] == 4096
    assert requests.get(daemon.url + "/v1/models/rgb").json()["labels"] is None


def test_etag(daemon):
    url = daemon.url + "/v1/models/tiny"
    etag = requests.get(url).headers["ETag"]
    assert etag.startswith('"') and requests.get(daemon.url + "/v1/models/rgb").headers["ETag"] != etag
    for tag in (etag, "W/" + etag, '"other", ' + etag, "*"):
        r = requests.get(url, headers={"If-None-Match": tag})
        assert (r.status_code, r.content, r.headers["ETag"]) == (304, b"", etag)
    for tag in ('"other"', etag.strip('"')):
        assert requests.get(url, headers={"If-None-Match": tag}).status_code == 200


def test_status(daemon):
    daemon.wait_no_memory()
    s = daemon.status()
    assert s["state"] == "ready" and s["threads"] >= 1 and s["kernels"] and s["uptime_s"] >= 0
    assert s["queue"]["limit"] == 256 and s["queue"]["depth"] == 0 and s["queue"]["bytes"] == 0
    assert "tiny" in [m["name"] for m in s["models"]]


def test_head_is_get_without_a_body(daemon):
    for path in ("/", "/livez", "/v1/models/tiny"):
        get, head = requests.get(daemon.url + path), requests.head(daemon.url + path)
        assert head.status_code == 200 and head.content == b""
        assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize("method,path,allow", [
    ("POST", "/livez", "GET, HEAD"), ("DELETE", "/v1/models/tiny", "GET, HEAD"),
    ("GET", "/v1/models/tiny/classify", "POST"), ("PUT", "/v1/models/tiny/classify", "POST"),
    ("OPTIONS", "/", "GET, HEAD"), ("BREW", "/", "GET, HEAD")])
def test_wrong_method(daemon, method, path, allow):
    r = requests.request(method, daemon.url + path)
    check_problem(r, 405, method)
    assert r.headers["Allow"] == allow


@pytest.mark.parametrize("path", ["/nothing", "/v1", "/v1/models/", "/v1/models//classify", "/v1/models/tiny/classify/",
                                  "/v1/models/tiny/x", "//", "/livez/", "/v1/models/a/b/classify", "/" + "x" * 3000])
def test_unknown_path(daemon, path):
    check_problem(requests.post(daemon.url + path, data=b""), 404)


def test_percent_encoding(daemon):
    assert b" 200 OK" in daemon.raw(b"GET /v1/%6dodels/tin%79 HTTP/1.0\r\n\r\n")
    for target in (b"/livez%00x", b"/%zz", b"/livez%", b"/livez%4"):
        assert b" 400 " in daemon.raw(b"GET " + target + b" HTTP/1.0\r\n\r\n").split(b"\r\n")[0]
    for query in (b"T=%00", b"T=%", b"T%0=1", b"&".join(b"a%d=1" % i for i in range(40))):
        got = daemon.raw(b"POST /v1/models/tiny/classify?" + query + b" HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
        assert b" 400 " in got.split(b"\r\n")[0], got


def test_request_id(daemon):
    url = daemon.url + "/livez"
    assert requests.get(url, headers={"X-Request-Id": "abc-1.2:3"}).headers["X-Request-Id"] == "abc-1.2:3"
    made = {requests.get(url, headers={"X-Request-Id": i} if i else {}).headers["X-Request-Id"]
            for i in (None, None, "x" * 129, "with space", "caf\u00e9".encode("latin-1"))}
    assert len(made) == 5 and all(len(i) == 32 for i in made)
    assert requests.get(url, headers={"X-Request-Id": "x" * 128}).headers["X-Request-Id"] == "x" * 128


def test_request_id_in_a_problem_is_a_uri(daemon):
    r = requests.get(daemon.url + "/nothing", headers={"X-Request-Id": 'a"%/b'})
    assert r.json()["instance"] == "urn:spiked:request:a%22%25%2Fb"


POST = b"POST /v1/models/tiny/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


@pytest.mark.parametrize("head", [
    POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
    POST + b"Content-Length: 4\r\ncontent-length: 5\r\n\r\nabcde",
    POST + b"Content-Length: 4, 4\r\n\r\nabcd",
    POST + b"Content-Length: +4\r\n\r\nabcd",
    POST + b"Content-Length: -4\r\n\r\nabcd",
    POST + b"Content-Length: 0x4\r\n\r\nabcd",
    POST + b"Content-Length:\r\n\r\nabcd",
    POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: identity\r\n\r\n",
    POST.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
])
def test_ambiguous_framing_is_refused_and_closed(daemon, head):
    hidden = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
    got = daemon.raw(head + hidden, half_close=False, timeout=8)
    # (libmicrohttpd 0.9.75 sends the head of its own 400 twice; ours it sends once)
    assert got.startswith(b"HTTP/1.1 400 ") and b" 200 " not in got, got


def test_host_is_required(daemon):
    assert daemon.raw(b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_too_many_fields(daemon):
    fields = b"".join(b"X-%d: y\r\n" % i for i in range(70))
    assert daemon.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n", quiet=1).startswith(b"HTTP/1.1 431 ")
    assert b" 200 OK" in daemon.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\n" + fields[:400].rsplit(b"\r\n", 1)[0] + b"\r\n\r\n", quiet=1)


def test_huge_header_is_refused(daemon):
    got = daemon.raw(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Big: " + b"y" * 100000 + b"\r\n\r\n", quiet=1)
    assert not got or got[9:12] in (b"431", b"413", b"400")


@pytest.mark.parametrize("sent", [
    b"", b"\0" * 100, b"\r\n\r\n\r\n", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET " + b"/" * 40000,
    POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", POST + b"Content-Length: 100\r\n\r\nabc",
    b"GET /v1/models/tiny?T=%80 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /\xff\xfe\x80 HTTP/1.1\r\nHost: x\r\n\r\n",
])
def test_hostile_bytes_get_an_error_or_silence(daemon, sent):
    got = daemon.raw(sent, timeout=0.5, quiet=0.5)
    assert not got or got[9:12] in (b"200", b"400", b"404", b"405", b"413", b"414", b"431", b"505"), got
    assert requests.get(daemon.url + "/livez").status_code == 200


def test_pipelined_requests_are_all_answered(daemon):
    one = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    assert daemon.raw(one * 5, quiet=1).count(b"HTTP/1.1 200 OK") == 5


def test_body_over_the_limit(models_folder):
    with Daemon(models_folder, "--max-body", "10000") as d:
        head = POST + b"Content-Length: 10001\r\n\r\n"
        begin = time.monotonic()
        got = d.raw(head, half_close=False)
        assert got.startswith(b"HTTP/1.1 413 ") and time.monotonic() - begin < 2  # before any of the body came
        assert b'"detail":"body: at most 10000 bytes, got Content-Length 10001"' in got
        got = d.raw(POST + b"Expect: 100-continue\r\nContent-Length: 99999999999999999999999\r\n\r\n", half_close=False)
        assert got.startswith(b"HTTP/1.1 413 ")
        chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
        got = d.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 3, half_close=False)
        assert got.startswith(b"HTTP/1.1 413 ") and b'"detail":"body: at most 10000 bytes"' in got
        d.wait_log("request")
        assert d.classify(make.picture(1)).status_code == 200
        d.wait_no_memory()


def test_large_upload_to_a_small_limit_is_answered_to_a_real_client(models_folder):
    with Daemon(models_folder) as d:
        r = d.classify(b"\x89PNG\r\n\x1a\n" + b"x" * (2 << 20))
        check_problem(r, 422)


def test_slow_body_is_given_up(models_folder):
    with Daemon(models_folder) as d:
        begin = time.monotonic()
        head = POST + b"Content-Length: 1000\r\n\r\n"
        got = d.raw(head, *[b"x"] * 14, pause=0.9, half_close=False)
        assert got.startswith(b"HTTP/1.1 408 "), got
        assert 9 < time.monotonic() - begin < 16


def test_access_log_escapes_what_clients_send(models_folder):
    with Daemon(models_folder) as d:
        d.raw(b'GET /x%0a2026-01-01T00:00:00Z%20info%20forged%20"\\ HTTP/1.0\r\n\r\n')
        line = d.wait_log("request")
        assert 'path="/x\\x0a2026-01-01T00:00:00Z info forged \\"\\\\"' in line and " status=404 " in line


def test_access_log_tells_the_request(models_folder):
    with Daemon(models_folder, "--log-format", "json") as d:
        requests.post(d.url + "/v1/models/tiny/classify?T=7", data=make.picture(1),
                      headers={"Content-Type": "image/png", "X-Request-Id": "i d\u00e9".encode("latin-1")})
        requests.post(d.url + "/v1/models/tiny/classify?T=7", data=make.picture(1),
                      headers={"Content-Type": "image/png", "X-Request-Id": "mine"})
        d.wait_line(lambda line: '"mine"' in line)
        events = [json.loads(line) for line in d.lines]
        assert {"time", "level", "event"} <= set(events[0])
        e = [e for e in events if e.get("id") == "mine"][0]
        assert "problem" not in e
        assert (e["event"], e["method"], e["status"], e["model"], e["timesteps"], e["images"]) == (
            "request", "POST", 200, "tiny", 7, 1)
        assert e["path"] == "/v1/models/tiny/classify" and e["bytes_in"] == len(make.picture(1)) and e["latency_ms"] > 0


def test_access_log_tells_why_a_request_was_refused(models_folder):
    """In the words of the answer, which is what its sender will quote."""
    with Daemon(models_folder, "--log-format", "json") as d:
        r = requests.post(d.url + "/v1/models/tiny/classify?T=0", data=make.picture(1), headers={"X-Request-Id": "mine"})
        e = json.loads(d.wait_line(lambda line: '"mine"' in line))
        assert (e["status"], e["problem"], e["detail"]) == (400, "invalid-option", r.json()["detail"])
