"""Three replicas behind nginx, with the configuration of deploy/: the second choice bears restarts and kills, too."""
import time

import pytest
import requests

import models as make
from replicas import NGINX, Client, NginxReplicas, wait_served

pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed (make deploy-test installs it)")


@pytest.fixture(scope="module")
def replicas(models_folder):
    with NginxReplicas(models_folder) as r:
        wait_served(r.port)
        yield r


def test_restarting_and_killing_replicas_fails_no_request(replicas):
    client = Client(replicas.port, "--connections", "16", "--rate", "100", "--seconds", "6")
    replicas.kill(0)
    time.sleep(1)
    replicas.restart(1)
    client.join()
    report = client.report
    assert report["requests"] > 400 and report["answered_ms"]["n"] == report["requests"], report


def test_answers_pass_unchanged(replicas):
    """Large ones, too; and what the daemon refuses, it refuses in its own words."""
    url = f"http://127.0.0.1:{replicas.port}/v1/models/tiny/classify"
    r = requests.post(url, data=make.picture(1), headers={"Content-Type": "image/png"}, timeout=10)
    assert r.status_code == 200 and r.json()["results"][0]["class"]["label"] in "abc"
    r = requests.post(url, data=b"\x89PNG\r\n\x1a\n" + bytes(2 << 20), headers={"Content-Type": "image/png"}, timeout=10)
    assert r.status_code == 422 and r.json()["instance"] == "urn:spiked:request:" + r.headers["X-Request-Id"]
