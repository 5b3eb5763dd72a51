"""Three replicas behind HAProxy: restarting and killing them fails no request. The long run is `make failover`."""
import base64
import socket
import time

import pytest
import requests

import models as make
from replicas import HAPROXY, Client, Replicas, wait_served

pytestmark = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")


@pytest.fixture(scope="module")
def replicas(models_folder):
    with Replicas(models_folder) as r:
        wait_served(r.port)
        yield r


def test_restarting_and_killing_replicas_fails_no_request(replicas):
    client = Client(replicas.port, "--connections", "16", "--rate", "200", "--seconds", "7")
    replicas.kill(0)
    time.sleep(1)  # for the proxy to see that it is back: three replicas bear the loss of one at a time
    replicas.restart(1)
    time.sleep(1)
    replicas.kill(2)
    client.join()
    report = client.report
    assert report["requests"] > 1000 and report["answered_ms"]["n"] == report["requests"], report


def test_answers_pass_unchanged(replicas):
    png = make.picture(1)
    url = f"http://127.0.0.1:{replicas.port}/v1/models/tiny/classify"
    one = requests.post(url, data=png, headers={"Content-Type": "image/png"}, timeout=10)
    two = requests.post(url, json={"images": [base64.b64encode(png).decode()]}, timeout=10)
    assert one.status_code == two.status_code == 200 and one.json()["results"] == two.json()["results"]
    assert one.headers["X-Request-Id"] != two.headers["X-Request-Id"]


@pytest.mark.parametrize("sent", [
    b"POST /v1/models/tiny/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /livez HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost x\r\n\r\n",
    b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n", b"GET /livez HTTP/2.0\r\nHost: x\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n",
    b"POST /v1/models/tiny/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZ\r\nhello\r\n0\r\n\r\n"])
def test_malformed_requests_do_not_reach_the_replicas(replicas, sent):
    with socket.create_connection(("127.0.0.1", replicas.port), timeout=5) as s:
        s.sendall(sent + b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        got = s.recv(65536)
    assert b" 200 " not in got and b"uptime" not in got, got


def test_two_lengths_become_one(replicas):
    """HAProxy keeps the chunks and drops Content-Length, as RFC 9112 lets a proxy; then it ends the connection."""
    body = make.picture(1)
    head = (b"POST /v1/models/tiny/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 3\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body))
    with socket.create_connection(("127.0.0.1", replicas.port), timeout=5) as s:
        s.sendall(head + body + b"\r\n0\r\n\r\n" + b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        got = b"".join(iter(lambda: s.recv(65536), b""))
    assert got.count(b"HTTP/1.1 ") == 1 and got.startswith(b"HTTP/1.1 200 ") and b"uptime" not in got, got
