"""Public corpora of hostile inputs, when CORPUS_DIR names the folder that has them: no crash, no hang, no 5xx.

They are never part of this repository. CORPUS_SAMPLE (default 400) bounds how many of each are sent."""
import base64
import concurrent.futures
import json
import os
import pathlib
import re
import tarfile

import pytest
import requests

import models as make

FOLDER = os.environ.get("CORPUS_DIR")
SAMPLE = int(os.environ.get("CORPUS_SAMPLE", "400"))
pytestmark = pytest.mark.skipif(not FOLDER, reason="CORPUS_DIR is not set")

# Valid JSON that a request may not be all the same: NUL in a string, a name given twice.
DELIBERATE = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json", "y_object_escaped_null_in_key.json",
              "y_string_null_escape.json"}


def corpus(name):
    with tarfile.open(pathlib.Path(FOLDER) / f"{name}.tar.xz") as tar:
        members = sorted((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.name)
        step = max(1, len(members) // SAMPLE)
        return [(pathlib.PurePath(m.name).name, tar.extractfile(m).read()) for m in members[::step]]


def in_parallel(work, items, width=16):
    with concurrent.futures.ThreadPoolExecutor(width) as pool:
        return list(pool.map(work, items))


def assert_well(daemon):
    assert daemon.process.poll() is None, "\n".join(daemon.lines[-5:])
    assert requests.get(daemon.url + "/readyz", timeout=2).status_code == 200
    assert daemon.classify(make.picture(1)).status_code == 200
    assert daemon.status()["queue"]["bytes"] == 0


def test_json(daemon):
    for name, text in corpus("json"):
        r = requests.post(daemon.url + "/v1/models/tiny/classify", data=text, timeout=2,
                          headers={"Content-Type": "application/json"})
        p = requests.post(daemon.url + "/v1/models/tiny/classify", timeout=2,
                          files=[("image", ("a", make.picture(1))), ("options", ("o", text))])
        assert r.status_code == 400 and p.status_code in (200, 400, 413), (name, r.text, p.text)
        parsed = "not JSON" not in r.json()["detail"] and "nested" not in r.json()["detail"]
        if name.startswith("y_") and name not in DELIBERATE:
            assert parsed, (name, r.text)
        if name.startswith("n_"):
            assert not parsed and p.status_code != 200, (name, r.text)
    assert_well(daemon)


def test_json_in_inference_requests(daemon):
    """As a member nobody knows: skipped when it is JSON, refused when it is not."""
    for name, text in corpus("json"):
        r = requests.post(daemon.url + "/v2/models/tiny/infer", data=b'{"extra": ' + text + b"}", timeout=2)
        assert r.status_code == 400, (name, r.text)
        error = r.json()["error"]
        if name.startswith("y_"):
            assert error.startswith("inputs: expected one"), (name, error)
        if name.startswith("n_") and name != "n_structure_whitespace_formfeed.json":  # yajl takes a form feed for a blank
            assert "not JSON" in error or "nested deeper" in error, (name, error)
    assert_well(daemon)


def test_raw_requests(daemon):
    def send(item):
        name, sent = item
        got = daemon.raw(sent, timeout=0.3, quiet=0.3)
        return name, [int(code) for code in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", got, re.M)]

    for name, codes in in_parallel(send, corpus("httpreq")):
        assert all(code < 500 or code == 505 for code in codes), (name, codes)  # 505: not HTTP/1
    assert_well(daemon)


def test_multipart(daemon):
    def send(item):
        name, body = item
        found = re.match(rb"\s*--([^\r\n]{1,70})", body)
        boundary = found.group(1).decode("latin-1") if found else "boundary"
        kind = b"multipart/form-data; boundary=" + boundary.encode("latin-1")
        head = (b"POST /v1/models/tiny/classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: " + kind +
                b"\r\nContent-Length: %d\r\n\r\n" % len(body))
        return name, daemon.raw(head + body, timeout=2, half_close=False, quiet=2)

    for name, got in in_parallel(send, corpus("multipart")):
        assert re.match(rb"HTTP/1\.1 4\d\d ", got), (name, got)
    assert_well(daemon)


def test_pictures(daemon):
    """PngSuite: every file but the broken ones (x*) decodes, in each form of body."""
    url = daemon.url + "/v1/models/rgb/classify"
    for name, png in corpus("pngsuite"):
        if not name.endswith(".png"):
            continue
        answers = [
            requests.post(url, data=png, headers={"Content-Type": "image/png"}, timeout=2),
            requests.post(url, files=[("image", (name, png))], timeout=2),
            requests.post(url, json={"images": [base64.b64encode(png).decode()]}, timeout=2)]
        element = len(png).to_bytes(4, "little") + png
        head = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1],
                                       "parameters": {"binary_data_size": len(element)}}]}).encode()
        answers.append(requests.post(daemon.url + "/v2/models/rgb/infer", data=head + element, timeout=2,
                                     headers={"Inference-Header-Content-Length": str(len(head))}))
        expected = 422 if name.startswith("x") else 200
        assert [r.status_code for r in answers] == [expected] * 4, (name, answers[0].text)
    assert_well(daemon)
