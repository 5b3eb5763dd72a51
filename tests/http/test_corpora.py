"""Public corpora of hostile inputs, when CORPUS_DIR names the folder that has them: no crash, no hang, no 5xx.

They are never part of this repository. CORPUS_SAMPLE (default: no bound) bounds how many of each are sent."""
import concurrent.futures
import os
import pathlib
import re
import tarfile

import pytest
import requests

import models as make
from forms import Forms, assert_does_not_grow, assert_well

FOLDER = os.environ.get("CORPUS_DIR")
SAMPLE = int(os.environ.get("CORPUS_SAMPLE", "100000"))
pytestmark = pytest.mark.skipif(not FOLDER, reason="CORPUS_DIR is not set")

# Valid JSON that a request may not be all the same: NUL in a string, a name given twice.
DELIBERATE = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json", "y_object_escaped_null_in_key.json",
              "y_string_null_escape.json"}


def corpus(name):
    with tarfile.open(pathlib.Path(FOLDER) / f"{name}.tar.xz") as tar:
        # in the order they lie in: going back in such a file means unpacking it anew
        files = sorted((pathlib.PurePath(m.name).name, tar.extractfile(m).read()) for m in tar if m.isfile())
        return files[::max(1, len(files) // SAMPLE)]


def in_parallel(work, items, width=16):
    with concurrent.futures.ThreadPoolExecutor(width) as pool:
        return list(pool.map(work, items))


def test_json(hosts):
    for name, text in corpus("json"):
        r = requests.post(hosts.url + "/v1/models/tiny/classify", data=text, timeout=2,
                          headers={"Content-Type": "application/json"})
        p = requests.post(hosts.url + "/v1/models/tiny/classify", timeout=2,
                          files=[("image", ("a", make.picture(1))), ("options", ("o", text))])
        assert r.status_code == 400 and p.status_code in (200, 400, 413), (name, r.text, p.text)
        parsed = "not JSON" not in r.json()["detail"] and "nested" not in r.json()["detail"]
        if name.startswith("y_") and name not in DELIBERATE:
            assert parsed, (name, r.text)
        if name.startswith("n_"):
            assert not parsed and p.status_code != 200, (name, r.text)
    assert_well(hosts)


def test_json_in_inference_requests(hosts):
    """As a member nobody knows: skipped when it is JSON, refused when it is not."""
    for name, text in corpus("json"):
        r = requests.post(hosts.url + "/v2/models/tiny/infer", data=b'{"extra": ' + text + b"}", timeout=2)
        assert r.status_code == 400, (name, r.text)
        error = r.json()["error"]
        if name.startswith("y_"):
            assert error.startswith("inputs: expected one"), (name, error)
        if name.startswith("n_") and name != "n_structure_whitespace_formfeed.json":  # yajl takes a form feed for a blank
            assert "not JSON" in error or "nested deeper" in error, (name, error)
    assert_well(hosts)


def test_json_for_operators(hosts):
    """As the body of each admin request that has one, and as the options of an upload."""
    forms = Forms(hosts, "tiny")
    for name, text in corpus("json"):
        answers = [hosts.admin(method, path, {"If-Match": '"0"', "Content-Type": "application/json"}, data=text)
                   for method, path in (("PUT", "/v1/models/tiny/calibration"), ("POST", "/v2/repository/index"),
                                        ("POST", "/v2/repository/models/tiny/load"))]
        answers.append(hosts.admin("POST", "/v1/models/tiny/calibrations", files=[
            ("image", ("a.png", make.picture(1))), ("options", (None, text))]))
        forms.finish(answers[-1])
        codes = [r.status_code for r in answers]
        assert all(code < 500 for code in codes), (name, codes)
        if name.startswith("n_") and text.strip():  # no body at all asks for everything
            assert all(code >= 400 for code in codes), (name, codes)
    assert_well(hosts)


def statuses(got):
    return [int(code) for code in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", got, re.M)]


def test_raw_requests(hosts):
    """All to the public listener, some to each of the others; to the admin one with the token in front of the other fields, too."""
    token = b"\r\nAuthorization: Bearer " + hosts.TOKEN.encode() + b"\r\n"

    def send(item):
        i, (name, sent) = item
        others = [(hosts.admin_address, sent), (hosts.metrics_address, sent), (hosts.admin_address, sent.replace(b"\r\n", token, 1))]
        codes = []
        for address, bytes_ in [(hosts.address, sent)] + (others if i % 2 == 0 else []):
            codes += statuses(hosts.raw(bytes_, timeout=0.1, quiet=0.05, address=address))
        return name, codes

    for name, codes in in_parallel(send, list(enumerate(corpus("httpreq"))), width=32):
        assert all(code < 500 or code == 505 for code in codes), (name, codes)  # 505: not HTTP/1
    assert_well(hosts)


def test_multipart(hosts):
    forms = Forms(hosts, "tiny")

    def send(item):
        name, body = item
        found = re.match(rb"\s*--([^\r\n]{1,70})", body)
        boundary = found.group(1).decode("latin-1") if found else "boundary"
        kind = b"multipart/form-data; boundary=" + boundary.encode("latin-1")
        got = []
        for path, host, address in ((b"/v1/models/tiny/classify", b"x", hosts.address),
                                    (b"/v1/models/tiny/calibrations", hosts.admin_address.encode(), hosts.admin_address)):
            head = (b"POST " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nAuthorization: Bearer " + hosts.TOKEN.encode() +
                    b"\r\nConnection: close\r\nContent-Type: " + kind + b"\r\nContent-Length: %d\r\n\r\n" % len(body))
            got.append(hosts.raw(head + body, timeout=2, half_close=False, quiet=2, address=address))
        return name, got

    for name, answers in in_parallel(send, corpus("multipart")):
        for got in answers:
            assert re.match(rb"HTTP/1\.1 4\d\d ", got), (name, got)
    assert_well(hosts)


def test_pictures(hosts):
    """PngSuite: every file but the broken ones (x*) decodes, in each form of body, and nothing is left behind."""
    forms = Forms(hosts, "rgb")
    pictures = [(name, png) for name, png in corpus("pngsuite") if name.endswith(".png")]

    def work():
        for name, png in pictures:
            answers = [send(png) for send in forms.serving()]
            expected = 422 if name.startswith("x") else 200
            codes = [r.status_code for r in answers]
            if png[:8] == b"\x89PNG\r\n\x1a\n":
                assert codes == [expected] * len(answers), (name, codes, answers[0].text)
            else:  # a raw tensor of numbers then, of the wrong size
                assert codes[:-1] == [422] * (len(answers) - 1) and codes[-1] == 400, (name, codes)
            assert all(r.elapsed.total_seconds() < 2 for r in answers), name

    assert_does_not_grow(hosts, work)
    assert_well(hosts)


def test_pictures_for_calibration(hosts):
    """The same as uploads: broken ones are named, and a job with too many of them fails."""
    forms = Forms(hosts, "rgb")
    pictures = [(name, png) for name, png in corpus("pngsuite") if name.endswith(".png")]
    good, broken = ([p for p in pictures if p[0].startswith("x") == is_broken] for is_broken in (False, True))
    few = broken[:len(good) // 20]
    job = forms.finish(forms.upload([("image", p) for p in good + few]))
    assert job["state"] == "succeeded", job
    assert sorted(s["name"] for s in job["result"]["pictures"]["skipped"]) == sorted(name for name, _ in few)
    job = forms.finish(forms.upload([("image", p) for p in broken]))
    assert job["state"] == "failed" and broken[0][0] in job["error"], job
    assert_well(hosts)
