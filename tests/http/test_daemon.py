"""The program: starting, settings, overload, deadlines, stopping."""
import base64
import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest
import requests

import models as make
from conftest import SPIKED, Daemon
from test_classify import check_problem

BIG = make.picture(1, 32, 3)


def run(*flags, env=None, timeout=180):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SPIKED_")}
    environment.update(env or {})
    return subprocess.run([SPIKED, *flags], capture_output=True, text=True, env=environment, timeout=timeout)


def test_version_and_help():
    v, h = run("--version"), run("--help")
    assert v.returncode == h.returncode == 0 and v.stdout.startswith("spiked ")
    assert "--max-timesteps" in h.stdout and "SPIKED_MAX_BODY" in h.stdout


@pytest.mark.parametrize("flags,said", [
    ([], "--models DIR is required"),
    (["--models", ""], "--models: expected 1 to"),
    (["--models", "m", "--threads", "x"], "--threads: expected an integer from 0 to 1024, got 'x'"),
    (["--models", "m", "--threads", "1025"], "--threads: expected"),
    (["--models", "m", "--queue", "0"], "--queue: expected"),
    (["--models", "m", "--max-timesteps", "5000"], "--max-timesteps: expected an integer from 1 to 4096"),
    (["--models", "m", "--listen", "8080"], "--listen: expected ADDRESS:PORT"),
    (["--models", "m", "--listen", "::1:8080"], "--listen: expected"),
    (["--models", "m", "--listen", "127.0.0.1:65536"], "--listen: expected"),
    (["--models", "m", "--log-format", "xml"], "--log-format: expected text or json, got 'xml'"),
    (["--models", "m", "--models", "n"], "--models: given twice"),
    (["--models"], "--models: a value is missing"),
    (["--nonsense"], "--nonsense: not a flag of spiked"),
    (["--models", "m", "rest"], "rest: unexpected argument"),
    (["--models", "m", "--config", "/nonexistent/file"], "configuration file: No such file"),
])
def test_wrong_usage_is_one_line_and_exit_2(flags, said):
    r = run(*flags)
    assert r.returncode == 2 and r.stdout == ""
    assert r.stderr.startswith("spiked: " + said) and r.stderr.count("\n") == 1


def test_settings_precedence(tmp_path):
    config = tmp_path / "spiked.json"
    config.write_text(json.dumps({"models": "from-file", "queue": 7, "threads": "3", "max-body": 5000, "drain-delay": 9}))
    r = run("--check-config", "--config", str(config), "--queue", "5",
            env={"SPIKED_QUEUE": "6", "SPIKED_THREADS": "2", "SPIKED_LISTEN": "[::1]:99"})
    assert r.returncode == 0, r.stderr
    got = dict(line.split(" = ") for line in r.stdout.splitlines())
    assert got == {"models": "from-file", "listen": "[::1]:99", "threads": "2", "queue": "5", "queue-bytes": "67108864",
                   "max-body": "5000", "max-timesteps": "4096", "drain-delay": "9", "log-format": "text",
                   "admin-listen": "127.0.0.1:8081", "admin-token-file": "", "admin-host": "",
                   "metrics-listen": "", "state": "", "keep-calibrations": "16", "max-upload": "268435456", "job-threads": "0", "job-nice": "20",
                   "job-bytes": "1073741824", "max-operations": "2000000000000",
                   "cors-origin": "", "api-keys-file": "", "tls-cert": "", "tls-key": ""}
    r = run("--check-config", env={"SPIKED_CONFIG": str(config)})
    assert "queue = 7\n" in r.stdout


@pytest.mark.parametrize("text,said", [
    ("{", "configuration file: line 1"), ("[]", "configuration file: expected a JSON object"),
    ('{"models": "m", "quue": 1}', "configuration file: unknown member 'quue'"),
    ('{"models": "m", "queue": "many"}', "configuration file: queue: expected an integer"),
    ('{"models": "m", "queue": 1.5}', "configuration file: queue: expected a string or an integer"),
    ('{"models": {"a": {"b": 1}}}', "configuration file: expected a flat JSON object"),
    ('{"models": "a", "models": "b"}', "configuration file: line 1"),
    (" " * 70000, "configuration file: unreadable, or over 65536 bytes"),
])
def test_bad_configuration_file(tmp_path, text, said):
    config = tmp_path / "spiked.json"
    config.write_text(text)
    r = run("--config", str(config))
    assert r.returncode == 2 and r.stderr.startswith("spiked: " + said) and r.stderr.count("\n") == 1


def test_bad_environment_names_the_variable():
    r = run("--models", "m", env={"SPIKED_MAX_BODY": "1k"})
    assert r.returncode == 2 and r.stderr.startswith("spiked: SPIKED_MAX_BODY: expected an integer")


def test_port_taken_is_one_line_and_exit_1(models_folder):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        r = run("--models", str(models_folder), "--listen", f"127.0.0.1:{s.getsockname()[1]}")
    assert r.returncode == 1 and r.stderr.count("\n") == 1 and "Address already in use" in r.stderr


def test_no_model_is_exit_1(tmp_path):
    r = run("--models", str(tmp_path), "--listen", "127.0.0.1:0")
    assert r.returncode == 1 and "no-models" in r.stderr
    r = run("--models", str(tmp_path / "missing"), "--listen", "127.0.0.1:0")
    assert r.returncode == 1 and "models-folder-unreadable" in r.stderr
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.safetensors").write_bytes(b"nothing")
    r = run("--models", str(tmp_path), "--listen", "127.0.0.1:0")
    assert r.returncode == 1 and "model-refused model=bad status=format" in r.stderr


def test_bad_models_are_logged_and_left_out(models_folder):
    with Daemon(models_folder) as d:
        assert "model=broken status=format" in d.wait_log("model-refused")
        assert 'name="bad name"' in d.wait_log("model-name-refused")


def test_ipv6(models_folder):
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with Daemon(models_folder, listen="[::1]:0") as d:
        assert d.address.startswith("[::1]:") and requests.get(d.url + "/readyz").status_code == 200


def test_threads_wait_passively_and_do_not_change_answers(models_folder):
    scores = []
    for threads in ("1", "3"):
        with Daemon(models_folder, "--threads", threads) as d:
            assert d.status()["threads"] == int(threads)
            with open(f"/proc/{d.process.pid}/environ", "rb") as f:
                assert b"OMP_WAIT_POLICY=passive" in f.read().split(b"\0")
            scores.append(d.classify(make.picture(1, 8, 3), "rgb", T=32).json()["results"])
    assert scores[0] == scores[1]


def test_max_timesteps_bounds_request_and_default(models_folder):
    with Daemon(models_folder, "--max-timesteps", "10") as d:
        check_problem(d.classify(make.picture(1), T=11), 400, "timesteps: expected an integer from 1 to 10, got '11'")
        assert d.classify(make.picture(1)).json()["timesteps"] == 10


def test_full_queue_refuses_at_once_and_recovers(models_folder):
    with Daemon(models_folder, "--queue", "1") as d:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: d.classify(BIG, "slow", T=4096, timeout_ms=2000), range(8)))
        refused = [r for r in answers if r.status_code == 503]
        assert len(refused) >= 4 and all(r.status_code in (503, 504, 200) for r in answers)
        for r in refused:
            check_problem(r, 503, "the queue is full")
            assert r.elapsed.total_seconds() < 1.5 and r.headers["Retry-After"] == "1"
        assert d.classify(make.picture(1)).status_code == 200
        d.wait_no_memory()
        assert d.status()["queue"] == {"depth": 0, "limit": 1, "bytes": 0, "bytes_limit": 67108864}


def test_refusals_by_the_header_have_their_form_and_are_counted(models_folder):
    """A queue that is full: every answer says so in its route's form, the log tells some and counts the rest."""
    with Daemon(models_folder, "--queue", "1") as d:
        t = min(4096, 8 * d.slow_timesteps(1.0))
        running = send_and_keep(d, post_head("slow", f"T={t}", len(BIG)) + BIG)
        d.wait_in_flight(1)
        time.sleep(0.1)
        waiting = send_and_keep(d, post_head("slow", "T=5", len(BIG)) + BIG)
        d.wait_status(lambda status: status["queue"]["depth"] == 1)
        held = d.status()["queue"]["bytes"]
        with requests.Session() as session:
            for i in range(250):
                r = session.post(f"{d.url}/v1/models/slow/classify?T=5", data=BIG, headers={"Content-Type": "image/png", "X-Request-Id": f"r{i}"})
                check_problem(r, 503, "the queue is full")
                assert r.headers["X-Request-Id"] == f"r{i}" and r.headers["Retry-After"] == "1" and r.json()["instance"].endswith(f":r{i}")
            r = session.post(f"{d.url}/v2/models/slow/infer", json={})
            assert r.status_code == 503 and r.headers["Content-Type"] == "application/json" and "the queue is full" in r.json()["error"]
            assert session.post(f"{d.url}/v1/models/none/classify", data=BIG).status_code == 404
            d.wait_status(lambda status: status["queue"]["bytes"] == held)
            stats = session.get(f"{d.url}/v2/models/slow/stats").json()["model_stats"][0]["inference_stats"]
            assert stats["fail"]["count"] == 251
        waiting.close()
        running.close()
        d.wait_in_flight(0)
    told = [line for line in d.lines if "the queue is full" in line]
    counted = sum(int(re.search(r"requests=(\d+)", line).group(1)) for line in d.lines if " refusals-not-logged " in line)
    assert len(told) + counted == 251 and len(told) >= 100


def test_bytes_of_all_requests_are_bounded(models_folder):
    with Daemon(models_folder, "--queue-bytes", "65536") as d:
        check_problem(d.classify(b"\x89PNG" + b"x" * 100000), 503, "the memory set aside")
        assert d.classify(make.picture(1)).status_code == 200
        d.wait_no_memory()


def test_deadline(models_folder):
    with Daemon(models_folder) as d:
        begin = time.monotonic()
        check_problem(d.classify(BIG, "slow", T=4096, timeout_ms=300), 504, "timeout_ms: 300 ms have passed")
        assert time.monotonic() - begin < 5
        # behind a long one, a deadline runs out in the queue; a neighbour of the same options is still answered
        t = d.slow_timesteps(1.5)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            first = pool.submit(d.classify, BIG, "slow", T=t)
            d.wait_in_flight(1)
            late = pool.submit(d.classify, BIG, "slow", T=2, timeout_ms=50)
            patient = pool.submit(d.classify, BIG, "slow", T=2)
            assert (first.result().status_code, patient.result().status_code) == (200, 200)
            check_problem(late.result(), 504)


def test_a_neighbours_deadline_ends_only_its_own_answer(models_folder):
    with Daemon(models_folder) as d:
        long, each = d.slow_timesteps(0.3), d.slow_timesteps(0.6)
        want = d.classify(BIG, "slow", T=each).json()["results"]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            first = pool.submit(d.classify, BIG, "slow", T=long)
            d.wait_in_flight(1)
            patient = [pool.submit(d.classify, BIG, "slow", T=each) for _ in range(3)]
            late = pool.submit(d.classify, BIG, "slow", T=each, timeout_ms=600)
            check_problem(late.result(), 504, "timeout_ms: 600 ms have passed")
            assert first.result().status_code == 200
            assert [f.result().json()["results"] for f in patient] == [want] * 3
        d.wait_no_memory()


def test_sigterm_finishes_what_is_in_flight(models_folder):
    with Daemon(models_folder) as d:
        t = d.slow_timesteps(1.0)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            running = [pool.submit(d.classify, BIG, "slow", T=t) for _ in range(3)]
            d.wait_in_flight(3)
            d.signal()
            assert [f.result().status_code for f in running] == [200] * 3
        assert d.wait_exit() == 0
        with pytest.raises(requests.ConnectionError):
            requests.get(d.url + "/livez")


def test_drain_delay_serves_on_unready(models_folder):
    with Daemon(models_folder, "--drain-delay", "2") as d:
        begin = time.monotonic()
        d.signal()
        d.wait_log("draining")
        check_problem(requests.get(d.url + "/readyz"), 503, "the server is draining")
        assert requests.get(d.url + "/livez").status_code == 200
        r = d.classify(make.picture(1))
        assert r.status_code == 200 and r.headers["Connection"] == "close"
        assert d.wait_exit() == 0 and time.monotonic() - begin >= 2


def test_second_signal_cancels(models_folder):
    with Daemon(models_folder) as d:
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            running = [pool.submit(d.classify, BIG, "slow", T=4096 - i) for i in range(3)]
            d.wait_in_flight(3)
            d.signal(signal.SIGINT)
            d.wait_log("draining")
            d.signal(signal.SIGTERM)
            for f in running:
                check_problem(f.result(), 503, "the server is stopping")
        assert d.wait_exit() == 0


def test_a_client_that_goes_away_hurts_nobody(models_folder):
    with Daemon(models_folder) as d:
        body = BIG
        head = (b"POST /v1/models/slow/classify?T=64 HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body))
        for cut in (10, len(head), len(head) + 100, len(head) + len(body)):
            for _ in range(5):
                s = socket.create_connection(("127.0.0.1", d.port))
                s.sendall((head + body)[:cut])
                s.close()
        assert d.classify(make.picture(1)).status_code == 200
        d.wait_status(lambda status: status["requests_in_flight"] == 1 and status["queue"]["depth"] == status["queue"]["bytes"] == 0)


def test_a_log_nobody_reads_stops_nothing(models_folder):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    p = subprocess.Popen([SPIKED, "--models", str(models_folder), "--listen", f"127.0.0.1:{port}"], stderr=subprocess.PIPE)
    try:
        with requests.Session() as session:
            end = time.monotonic() + 20
            while True:
                try:
                    if session.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                        break
                except requests.ConnectionError:
                    pass
                assert time.monotonic() < end
                time.sleep(0.05)
            for _ in range(100):  # more than a pipe holds
                assert session.get(f"http://127.0.0.1:{port}/" + "x" * 900, timeout=5).status_code == 404
        os.read(p.stderr.fileno(), 1 << 20)
        requests.get(f"http://127.0.0.1:{port}/livez", timeout=5)
        p.send_signal(signal.SIGTERM)
        rest = p.stderr.read()
        assert p.wait(10) == 0 and b" warning log-lines-dropped lines=" in rest and b" info stopped" in rest
    finally:
        p.kill()
        p.wait()
        p.stderr.close()


def post_head(model, query, n):
    return (f"POST /v1/models/{model}/classify?{query} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            f"Content-Length: {n}\r\n\r\n").encode()


def send_and_keep(d, data):
    s = socket.create_connection(("127.0.0.1", d.port), timeout=20)
    s.sendall(data)
    return s


def test_a_client_that_leaves_stops_its_computation(models_folder):
    """Within 50 ms, of which a busy machine may take some: the best of a few counts."""
    with Daemon(models_folder) as d:
        t = min(4096, 8 * d.slow_timesteps(1.0))
        took = []
        for _ in range(4):
            s = send_and_keep(d, post_head("slow", f"T={t}&precision=float32", len(BIG)) + BIG)
            d.wait_in_flight(1)
            time.sleep(0.1)
            begin = time.monotonic()
            s.close()
            d.wait_in_flight(0)
            took.append(time.monotonic() - begin)
        assert max(took) < 2 and min(took) < 0.05, took
        line = d.wait_line(lambda line: " request " in line and "status=499" in line)
        assert "model=slow" in line and "problem=client-gone" in line
        assert d.classify(make.picture(1)).status_code == 200


def test_clients_that_leave_give_up_their_places_in_the_queue(models_folder):
    with Daemon(models_folder, "--queue", "4") as d:
        t = min(4096, 8 * d.slow_timesteps(1.0))
        running = send_and_keep(d, post_head("slow", f"T={t}", len(BIG)) + BIG)
        d.wait_in_flight(1)
        time.sleep(0.1)
        waiting = [send_and_keep(d, post_head("slow", f"T={5 + i}", len(BIG)) + BIG) for i in range(4)]
        d.wait_status(lambda status: status["queue"]["depth"] == 4)
        check_problem(d.classify(BIG, "slow"), 503, "the queue is full")
        for s in waiting:
            s.close()
        d.wait_status(lambda status: status["queue"]["depth"] == 0 and status["requests_in_flight"] == 2)
        running.close()
        d.wait_status(lambda status: status["requests_in_flight"] == 1 and status["queue"]["bytes"] == 0)


def test_a_shared_run_ends_when_nobody_is_left(models_folder):
    with Daemon(models_folder) as d:
        t = min(4096, 8 * d.slow_timesteps(1.0)) // 4
        first = send_and_keep(d, post_head("slow", "T=60", len(BIG)) + BIG)
        d.wait_in_flight(1)
        both = [send_and_keep(d, post_head("slow", f"T={t}", len(BIG)) + BIG) for _ in range(2)]
        first.recv(100)
        first.close()
        time.sleep(0.2)
        both[0].close()  # the other one is still wanted
        both[1].settimeout(60)
        assert both[1].recv(100).startswith(b"HTTP/1.1 200 ")
        both[1].close()
        d.wait_in_flight(0)


def test_a_deadline_is_kept_in_the_queue_too(models_folder):
    with Daemon(models_folder) as d:
        t = min(4096, 8 * d.slow_timesteps(1.0))
        running = send_and_keep(d, post_head("slow", f"T={t}", len(BIG)) + BIG)
        d.wait_in_flight(1)
        time.sleep(0.1)
        r = d.classify(BIG, "slow", T=3, timeout_ms=200)
        check_problem(r, 504, "timeout_ms: 200 ms have passed")
        assert r.elapsed.total_seconds() < 2
        d.wait_in_flight(1)  # the long one goes on
        running.close()


def test_half_a_request_and_an_end_keep_no_descriptor(models_folder):
    """libmicrohttpd does not see an end that comes with data."""
    with Daemon(models_folder) as d:
        def descriptors():
            return len(os.listdir(f"/proc/{d.process.pid}/fd"))

        post = post_head("tiny", "T=2", 1000)
        d.status()
        time.sleep(0.1)
        before = descriptors()
        for sent in (b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: x\r\n", post, post + b"abc", b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET") * 5:
            send_and_keep(d, sent).close()
        end = time.monotonic() + 10
        while d.status()["requests_in_flight"] > 1 or descriptors() > before:
            assert time.monotonic() < end, (before, descriptors(), d.status())
            time.sleep(0.05)


def send_a_slow_header(d, before):
    """Byte by byte: each resets no deadline."""
    one = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    s, got, sent = send_and_keep(d, before), b"", 0
    begin = time.monotonic()
    s.settimeout(0.3)
    while time.monotonic() - begin < 12:
        try:
            if sent < len(one) - 1:
                s.sendall(one[sent:sent + 1])
                sent += 1
            more = s.recv(1000)
            if not more:
                break
            got += more
        except socket.timeout:
            pass
        except OSError:
            break
    s.close()
    assert got.endswith(b'"error":"header: too slow"}') and b"HTTP/1.1 408 Request Timeout" in got, got
    assert 4.5 < time.monotonic() - begin < 9


def read_slowly(d):
    """A little every second, so that it never counts as idle."""
    picture = base64.b64encode(make.picture(1, 8, 1)).decode()
    body = json.dumps({"images": [picture] * 64, "T": 1, "trace": "layers", "preview": True}).encode()
    request = (b"POST /v1/models/tiny/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               b"Content-Length: %d\r\n\r\n" % len(body)) + body
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect(("127.0.0.1", d.port))
    s.sendall(request * 60)  # answers of 64 KiB, together more than the sockets hold
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < 40 and s.recv(2048):
            time.sleep(0.7)
    except OSError:
        pass
    s.close()
    assert time.monotonic() - begin < 39


def test_slow_clients_are_evicted(models_folder):
    with Daemon(models_folder) as d, concurrent.futures.ThreadPoolExecutor(3) as pool:
        tasks = [pool.submit(send_a_slow_header, d, b""), pool.submit(read_slowly, d),
                 pool.submit(send_a_slow_header, d, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")]
        for task in tasks:
            task.result()
        d.wait_line(lambda line: 'client-evicted reason="slow header"' in line)
        d.wait_in_flight(0)  # evicted, or closed as idle
        assert requests.get(d.url + "/livez").status_code == 200
