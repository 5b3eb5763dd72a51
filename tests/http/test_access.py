"""Who may use the public listener, and how much: API keys and quotas, origins of web pages, TLS, the work of a request."""
import re
import signal
import socket
import subprocess
import time

import pytest
import requests

import models as make
from conftest import Daemon
from test_classify import check_problem
from test_daemon import run

KEY, OTHER = "key-0123456789abcdef", "another-0123456789abcdef"


@pytest.fixture(scope="module")
def keyed(models_folder, tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"# who may ask\n\nalice {KEY}\nbob {OTHER} 60\n")
    with Daemon(models_folder, "--api-keys-file", str(keys)) as d:
        d.keys = keys
        yield d


def ask(d, headers, path="/v1/models"):
    return requests.get(d.url + path, headers=headers, timeout=10)


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": "Bearer " + KEY}, {"Authorization": "bearer  " + KEY}])
def test_the_holder_of_a_key_passes(keyed, headers):
    assert ask(keyed, headers).status_code == 200
    r = requests.post(keyed.url + "/v1/models/tiny/classify", data=make.picture(1), headers={**headers, "Content-Type": "image/png"})
    assert r.status_code == 200
    keyed.wait_line(lambda line: " request " in line and "path=/v1/models/tiny/classify" in line and "key=alice" in line)


@pytest.mark.parametrize("headers", [
    {}, {"X-API-Key": ""}, {"X-API-Key": KEY[:-1]}, {"X-API-Key": KEY + "x"}, {"X-API-Key": "alice"}, {"Authorization": KEY},
    {"Authorization": "Basic " + KEY}, {"Authorization": "Bearer"}, {"X-API-Key": "# who may ask"}])
def test_nobody_else_does(keyed, headers):
    for path in ("/v1/models", "/v1/status", "/v2", "/v2/models/tiny"):
        r = ask(keyed, headers, path)
        assert r.status_code == 401 and r.headers["WWW-Authenticate"].startswith("Bearer"), path
        assert KEY not in r.text


def test_health_and_the_page_need_no_key(keyed):
    assert [ask(keyed, {}, path).status_code for path in ("/livez", "/readyz", "/v2/health/ready", "/")] == [200] * 4


def test_a_quota_is_kept(keyed):
    answers = [ask(keyed, {"X-API-Key": OTHER}) for _ in range(14)]
    codes = [r.status_code for r in answers]
    assert codes[:10] == [200] * 10 and 429 in codes[10:]  # ten seconds' worth at once, then one a second
    refused = [r for r in answers if r.status_code == 429][0]
    check_problem(refused, 429, "quota: 60 requests a minute are used up")
    assert refused.headers["Retry-After"] == "1"
    assert ask(keyed, {"X-API-Key": KEY}).status_code == 200  # nobody else's
    time.sleep(1.1)
    assert ask(keyed, {"X-API-Key": OTHER}).status_code == 200


def test_keys_are_read_again(keyed):
    before = keyed.keys.read_text()
    keyed.keys.write_text("carol new-key-0123456789\n")
    keyed.signal(signal.SIGHUP)
    keyed.wait_log("api-keys-reloaded")
    assert ask(keyed, {"X-API-Key": "new-key-0123456789"}).status_code == 200
    assert ask(keyed, {"X-API-Key": KEY}).status_code == 401
    keyed.keys.write_text("nonsense\n")
    keyed.signal(signal.SIGHUP)
    assert "line=1" in keyed.wait_log("api-keys-refused")
    assert ask(keyed, {"X-API-Key": "new-key-0123456789"}).status_code == 200
    keyed.keys.write_text(before)


@pytest.mark.parametrize("text", ["", "# nobody\n", "alice\n", "alice short\n", f"alice {KEY} 0\n", f"alice {KEY} x\n", f"alice {KEY} 1 2\n",
                                  f"{'a' * 40} {KEY}\n", f"alice {'k' * 600}\n"])
def test_bad_key_files_are_refused_at_the_start(models_folder, tmp_path, text):
    (tmp_path / "keys").write_text(text)
    r = run("--models", str(models_folder), "--listen", "127.0.0.1:0", "--api-keys-file", str(tmp_path / "keys"))
    assert r.returncode == 1 and "api-keys-refused" in r.stderr and KEY not in r.stderr


def test_cors_is_off_by_default(daemon):
    r = requests.get(daemon.url + "/v1/models", headers={"Origin": "https://a.example"})
    assert not any(name.lower().startswith("access-control") for name in r.headers) and "Vary" not in r.headers
    assert requests.options(daemon.url + "/v1/models", headers={"Origin": "https://a.example"}).status_code == 405


def test_cors(models_folder):
    with Daemon(models_folder, "--cors-origin", "https://a.example, http://localhost:3000") as d:
        url = d.url + "/v1/models/tiny/classify"
        for origin in ("https://a.example", "http://localhost:3000"):
            r = requests.options(url, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
            assert (r.status_code, r.content) == (204, b"")
            assert r.headers["Access-Control-Allow-Origin"] == origin and r.headers["Vary"] == "Origin"
            assert r.headers["Access-Control-Allow-Methods"] == r.headers["Allow"] == "POST, OPTIONS"
            assert "Content-Type" in r.headers["Access-Control-Allow-Headers"]
            r = requests.post(url, data=make.picture(1), headers={"Origin": origin, "Content-Type": "image/png"})
            assert r.status_code == 200 and r.headers["Access-Control-Allow-Origin"] == origin
            r = requests.post(url, data=b"x", headers={"Origin": origin, "Content-Type": "image/png"})
            assert r.status_code == 422 and r.headers["Access-Control-Allow-Origin"] == origin  # the page may read why
        for origin in ("https://b.example", "https://a.example.evil", "https://a.exampl", "null"):
            for r in (requests.options(url, headers={"Origin": origin}), requests.get(d.url + "/livez", headers={"Origin": origin})):
                assert "Access-Control-Allow-Origin" not in r.headers and r.headers["Vary"] == "Origin"
        assert requests.options(d.url + "/nothing", headers={"Origin": "https://a.example"}).status_code == 404
    with Daemon(models_folder, "--cors-origin", "*") as d:
        r = requests.get(d.url + "/livez", headers={"Origin": "https://any.example"})
        assert r.headers["Access-Control-Allow-Origin"] == "*"


def test_options_of_the_server(daemon):
    got = daemon.raw(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", half_close=False)
    assert got.startswith(b"HTTP/1.1 204 ") and b"\r\nAllow: GET, HEAD, POST, OPTIONS\r\n" in got


def test_the_work_of_a_request_is_bounded(models_folder):
    with Daemon(models_folder, "--max-operations", "100000") as d:
        macs = requests.get(d.url + "/v1/models/tiny").json()
        assert macs["limits"]["operations"] == 100000
        most = 100000 // macs["macs"]
        assert d.classify(make.picture(1), T=most).status_code == 200
        check_problem(d.classify(make.picture(1), T=most + 1), 413, f"timesteps: 1 pictures times {most + 1} steps")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                           "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
                           str(folder / "key.pem"), "-out", str(folder / "cert.pem")], capture_output=True)
    if made.returncode:
        pytest.skip("openssl cannot make a certificate")
    return folder


def test_tls(models_folder, certificate):
    flags = ("--tls-cert", str(certificate / "cert.pem"), "--tls-key", str(certificate / "key.pem"))
    with Daemon(models_folder, *flags) as d:
        url = d.url.replace("http:", "https:")
        with requests.Session() as s:
            s.trust_env, s.verify = False, str(certificate / "cert.pem")
            for _ in range(3):
                r = s.post(url + "/v1/models/tiny/classify", data=make.picture(1), headers={"Content-Type": "image/png"}, timeout=10)
                assert r.status_code == 200
            assert s.get(url + "/nothing", timeout=10).status_code == 404
        with pytest.raises(requests.ConnectionError):
            requests.get(d.url + "/livez", timeout=10)
        assert run("--healthcheck", "--listen", d.address, *flags).returncode == 0
    for bad in (("--tls-cert", str(certificate / "cert.pem")), ("--tls-key", "x")):
        r = run("--models", "m", *bad)
        assert r.returncode == 2 and "either both or none" in r.stderr
    r = run("--models", str(models_folder), "--listen", "127.0.0.1:0", "--tls-cert", "/nonexistent", "--tls-key", "/nonexistent")
    assert r.returncode == 1 and "tls-file-refused" in r.stderr


def test_healthcheck(models_folder):
    with Daemon(models_folder, "--drain-delay", "1") as d:
        assert run("--healthcheck", "--listen", d.address).returncode == 0
        assert run("--healthcheck", env={"SPIKED_LISTEN": f"0.0.0.0:{d.port}"}).returncode == 0
        d.signal()
        d.wait_log("draining")
        r = run("--healthcheck", "--listen", d.address)
        assert r.returncode == 1 and re.fullmatch(r"spiked: 127.0.0.1:\d+: not ready\n", r.stderr)
        d.wait_exit()
        r = run("--healthcheck", "--listen", d.address)
        assert r.returncode == 1 and "refused" in r.stderr
    with socket.socket() as s:  # something listens and does not answer
        s.bind(("127.0.0.1", 0))
        s.listen()
        r = run("--healthcheck", "--listen", f"127.0.0.1:{s.getsockname()[1]}")
        assert r.returncode == 1 and "no answer" in r.stderr
