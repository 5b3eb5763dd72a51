"""The admin listener: who may come in, and that it shares nothing with the public one."""
import signal
import subprocess

import pytest
import requests

import models as make
from conftest import SPIKED, Daemon
from test_classify import check_problem


@pytest.fixture(scope="module")
def admin(models_folder, tmp_path_factory):
    token = tmp_path_factory.mktemp("admin") / "token"
    with Daemon(models_folder, "--admin-host", "admin.example,other.example:9", token_file=token) as d:
        yield d


def test_without_a_token_file_it_does_not_listen(models_folder):
    with Daemon(models_folder) as d:
        assert "no --admin-token-file" in d.wait_log("admin-off")
        assert not any("admin-listening" in line for line in d.lines)


@pytest.mark.parametrize("content,said", [
    (None, "No such file"), ("", "shorter than 16"), ("short\n", "shorter than 16"), ("x" * 1025, "longer than 1024"),
    ("0123456789 abcdef\n", "characters that no header can carry")])
def test_with_an_unusable_token_it_does_not_listen_but_serves(models_folder, tmp_path, content, said):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with Daemon(models_folder, "--admin-token-file", str(file), "--admin-listen", "127.0.0.1:0") as d:
        assert said in d.wait_log("admin-token-refused")
        d.wait_log("admin-off")
        assert not any("admin-listening" in line for line in d.lines)
        assert requests.get(d.url + "/readyz", timeout=10).status_code == 200


def test_a_token_others_can_read_is_warned_about(models_folder, tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef0123456789abcdef")
    file.chmod(0o644)
    with Daemon(models_folder, "--admin-token-file", str(file), "--admin-listen", "127.0.0.1:0") as d:
        d.wait_log("admin-token-exposed")


@pytest.mark.parametrize("authorization", [
    None, "", "Bearer", "Bearer ", "Bearer x", "Basic " + Daemon.TOKEN, Daemon.TOKEN, "Bearer " + Daemon.TOKEN[:-1],
    "Bearer " + Daemon.TOKEN + "x", "Bearer" + Daemon.TOKEN, "Bearer " + Daemon.TOKEN.upper()])
@pytest.mark.parametrize("path", ["/", "/no/such/path", "/livez"])
def test_no_token_or_a_wrong_one(admin, authorization, path):
    r = requests.get(f"http://{admin.admin_address}{path}", timeout=10,
                     headers={"Authorization": authorization} if authorization is not None else {})
    check_problem(r, 401, "Authorization: ")
    assert r.headers["WWW-Authenticate"].startswith("Bearer")
    assert Daemon.TOKEN not in r.text


def test_the_token_opens(admin):
    assert admin.admin("GET", "/").json()["server"] == "spiked admin"
    assert admin.admin("GET", "/", {"Authorization": "bearer  " + Daemon.TOKEN}).status_code == 200


@pytest.mark.parametrize("host,status", [
    ("{address}", 200), ("localhost:{port}", 200), ("LocalHost:{port}", 200), ("admin.example", 200),
    ("admin.example:1234", 200), ("other.example:9", 200), ("other.example:10", 403), ("other.example", 403),
    ("evil.example", 403), ("evil.example:{port}", 403), ("127.0.0.1", 403), ("localhost", 403), ("127.0.0.2:{port}", 403),
    ("[::1]:{port}", 403), ("127.0.0.1.evil.example:{port}", 403), ("admin.example.evil.example", 403)])
def test_host_and_origin(admin, host, status):
    host = host.format(address=admin.admin_address, port=admin.admin_address.split(":")[1])
    r = admin.admin("GET", "/", {"Host": host})
    assert r.status_code == status, r.text
    for scheme in "http", "https", "HTTP":
        assert admin.admin("GET", "/", {"Origin": f"{scheme}://{host}"}).status_code == status
    assert admin.admin("GET", "/", {"Origin": host}).status_code == 403
    if status == 403:
        check_problem(r, 403, "Host: ")
        check_problem(admin.admin("GET", "/", {"Host": host, "Authorization": "x"}), 403, "Host: ")


@pytest.mark.parametrize("origin", ["null", "", "http://", "http://:80", "ftp://admin.example", "http://[", "x" * 500])
def test_odd_origins(admin, origin):
    check_problem(admin.admin("GET", "/", {"Origin": origin}), 403, "Origin: ")


def test_listeners_share_no_path(admin):
    for path in "/livez", "/readyz", "/v1/status", "/v1/models", "/v1/models/tiny", "/v2/health/live":
        assert admin.admin("GET", path).status_code == 404, path
    for route in admin.admin("GET", "/").json()["api"]:
        method, path = route.split()
        if path == "/":
            continue
        path = path.replace("{model}", "tiny").replace("{id}", "1")
        r = requests.request(method, admin.url + path, headers={"Authorization": "Bearer " + Daemon.TOKEN}, timeout=10)
        assert r.status_code == 404, (route, r.text)


def test_a_taken_admin_port_is_exit_1(models_folder, admin, tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef0123456789abcdef")
    r = subprocess.run([SPIKED, "--models", str(models_folder), "--listen", "127.0.0.1:0", "--admin-token-file", str(file),
                        "--admin-listen", admin.admin_address], capture_output=True, text=True, timeout=180)
    assert r.returncode == 1 and "Address already in use" in r.stderr


def test_drain_is_what_sigterm_is(models_folder, tmp_path):
    with Daemon(models_folder, "--drain-delay", "1", token_file=tmp_path / "token") as d:
        assert d.admin("GET", "/v1/drain").status_code == 405
        assert requests.post(f"http://{d.admin_address}/v1/drain", timeout=10).status_code == 401
        for _ in range(2):  # asked twice, it still takes its time
            r = d.admin("POST", "/v1/drain")
            assert r.status_code == 202 and r.json() == {"status": "draining"}
        d.wait_log("draining")
        assert requests.get(d.url + "/readyz", timeout=10).status_code == 503
        assert d.classify(make.picture(1)).status_code == 200
        assert d.wait_exit() == 0


def test_sighup_reads_the_token_again(models_folder, tmp_path):
    token = tmp_path / "token"
    with Daemon(models_folder, token_file=token) as d:
        other = {"Authorization": "Bearer another-token-0123456789"}
        assert d.admin("GET", "/", other).status_code == 401
        token.write_text("too short\n")
        d.signal(signal.SIGHUP)
        d.wait_log("admin-token-refused")
        assert d.admin("GET", "/").status_code == 200, "a token that cannot be used must not replace the old one"
        token.write_text("another-token-0123456789\n")
        d.signal(signal.SIGHUP)
        d.wait_log("admin-token-reloaded")
        assert d.admin("GET", "/").status_code == 401
        assert d.admin("GET", "/", other).status_code == 200
