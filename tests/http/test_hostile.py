"""Generated hostile bodies through every form of upload: an answer below 500 within a moment, nothing left behind.

The public corpora are test_corpora.py's; these are always there."""
import json
import random
import time

import requests

import models as make
from forms import Forms, archive, assert_does_not_grow, assert_well, binary_tensor


def mutations(original, n, seed):
    """Cut off, bits turned, bytes removed, doubled and made extreme, always the same ones."""
    rng = random.Random(seed)
    yield from (b"", original[:1], original[:len(original) // 2], original[:-1], original + original, original + b"\0" * 5000)
    for _ in range(n):
        b = bytearray(original)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(b))
            kind = rng.randrange(4)
            if kind == 0:
                b[at] ^= 1 << rng.randrange(8)
            elif kind == 1:
                b[at:at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0"))
            elif kind == 2:
                del b[at:at + rng.randrange(1, 9)]
            else:
                b[at:at] = b[at:at + rng.randrange(1, 40)]
            if not b:
                b = bytearray(b"x")
        yield bytes(b)


def check(response, *what):
    assert response.status_code < 500, (*what, response.text)
    assert response.elapsed.total_seconds() < 2, (*what, response.elapsed)


def repair(png):
    """With sums of chunks that fit, so that the decoder goes on to what they hold."""
    out, at = png[:8], 8
    while at + 12 <= len(png):
        n = int.from_bytes(png[at:at + 4], "big")
        out += make.chunk(png[at + 4:at + 8], png[at + 8:at + 8 + min(n, len(png))])
        at += 12 + n
    return out


def test_pictures(hosts):
    forms = Forms(hosts, "tiny")
    pictures = list(mutations(make.picture(1), 24, seed=1))
    pictures += [repair(p) for p in pictures[6:]] + [make.bomb(2**31 - 1, 1), make.bomb(4096, 4096), make.bomb(0, 0), b"\x89PNG\r\n\x1a\n"]

    def work():
        for i, png in enumerate(pictures):
            codes = set()
            for send in forms.serving():
                r = send(png)
                check(r, i, send.__name__)
                codes.add(r.status_code)
            assert codes <= {400, 413, 415, 422} or codes == {200}, (i, codes)  # all agree whether it is a picture

    assert_does_not_grow(hosts, work)
    assert_well(hosts)


def test_pictures_and_archives_for_calibration(hosts):
    forms = Forms(hosts, "tiny")
    pictures = list(mutations(make.picture(1), 6, seed=2)) + [make.bomb(4096, 4096)]

    def work():
        for png in pictures:
            r = forms.upload_archive(png)
            check(r)
            forms.finish(r)
        r = forms.upload([("image", (f"{i}.png", png)) for i, png in enumerate(pictures)])
        check(r)
        job = forms.finish(r)
        assert job["state"] == "failed" and ".png" in job["error"], job

    assert_does_not_grow(hosts, work)
    for tar in mutations(archive(make.picture(2)), 12, seed=3):
        r = forms.upload([("archive", ("a.tar", tar))])
        check(r)
        forms.finish(r)
    assert_well(hosts)


MULTIPART = (b'--b\r\nContent-Disposition: form-data; name="image"; filename="a/x.png"\r\nContent-Type: image/png\r\n\r\n'
             + make.picture(1) + b'\r\n--b\r\nContent-Disposition: form-data; name="options"\r\n\r\n{"timesteps": 2}\r\n--b--\r\n')


def test_frames(hosts):
    """What lies around pictures: multipart, JSON, binary tensors."""
    infer = f"{hosts.url}/v2/models/tiny/infer"
    classify = f"{hosts.url}/v1/models/tiny/classify"
    head, tensor = binary_tensor(make.picture(1))
    numbers = json.dumps({"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 1, 8, 8], "data": [0.5] * 64}],
                          "outputs": [{"name": "scores", "parameters": {"classification": 2}}], "id": "a"}).encode()
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    with requests.Session() as s:
        def work():
            for body in mutations(MULTIPART, 40, seed=4):
                check(s.post(classify, data=body, headers=form, timeout=20), body)
            for body in mutations(numbers, 60, seed=5):
                check(s.post(infer, data=body, timeout=20), body)
                check(s.post(classify, data=body, headers={"Content-Type": "application/json"}, timeout=20), body)
            for i, body in enumerate(mutations(tensor, 60, seed=6)):
                n = (len(head), len(head) - 1, len(head) + 1, 0, len(body))[i % 5]
                check(s.post(infer, data=body, headers={"Inference-Header-Content-Length": str(n)}, timeout=20), body)

        assert_does_not_grow(hosts, work)
        for body in mutations(MULTIPART, 20, seed=7):
            r = hosts.admin("POST", "/v1/models/tiny/calibrations", form, data=body)
            check(r, body)
            Forms(hosts, "tiny").finish(r)
        for body in mutations(b'{"id": "0123456789abcdef", "ready": true, "parameters": {"unload_dependents": false}}', 20, seed=8):
            for method, path in (("PUT", "/v1/models/tiny/calibration"), ("POST", "/v2/repository/index"),
                                 ("POST", "/v2/repository/models/tiny/load")):
                check(hosts.admin(method, path, {"If-Match": '"0"'}, data=body), path, body)
    assert_well(hosts)


def test_clients_that_send_a_little_and_leave(hosts):
    """At every point of a request; the daemon forgets them."""
    whole = (b"POST /v1/models/tiny/classify?T=2 HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
             b"Content-Length: %d\r\n\r\n" % len(MULTIPART)) + MULTIPART

    def work():
        for n in range(1, len(whole), 9):
            hosts.raw(whole[:n], timeout=0.001, quiet=0.001)
        end = time.monotonic() + 15
        while hosts.status()["requests_in_flight"] > 1:  # those whose end it did not see, until they are idle for too long
            assert time.monotonic() < end
            time.sleep(0.05)

    work()
    assert_well(hosts)
