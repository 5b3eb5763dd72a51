"""The real daemon for black-box tests: built program from SPIKED_BIN, small generated models, a free port each."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import models as make  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPIKED = os.environ.get("SPIKED_BIN", str(ROOT / "build/release/spiked"))


class Daemon:
    """A running spiked. `with` stops it and checks that it ended well."""

    TOKEN = "test-token-0123456789abcdef"

    def __init__(self, folder, *flags, env=None, wait="ready", listen="127.0.0.1:0", token_file=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SPIKED_")}
        environment.update(env or {})
        if token_file:
            token_file.write_text(self.TOKEN + "\n")
            token_file.chmod(0o600)
            flags += ("--admin-token-file", str(token_file), "--admin-listen", "127.0.0.1:0")
        self.process = subprocess.Popen(
            [SPIKED, "--models", str(folder), "--listen", listen, *flags],
            stderr=subprocess.PIPE, env=environment)
        self.lines = []
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        line = self.wait_log("listening")
        self.address = re.search(r'address"?[=:]"?(\[[^\]]*\]:\d+|[^\s",}]+)', line).group(1)
        self.host, _, port = self.address.rpartition(":")
        self.port = int(port)
        self.url = f"http://{self.address}"
        if token_file:
            line = self.wait_log("admin-listening")
            self.admin_address = re.search(r'address"?[=:]"?([^\s",}]+)', line).group(1)
        if wait:
            self.wait_log(wait)

    def read_log(self):
        for line in self.process.stderr:
            self.lines.append(line.decode().rstrip("\n"))

    def wait_log(self, event, timeout=30):
        """The first line of that event."""
        pattern = re.compile(rf'( (info|warning|error) {event}( |$))|("event":"{event}")')
        return self.wait_line(pattern.search, timeout)

    def wait_line(self, wanted, timeout=30):
        end, ended = time.monotonic() + timeout, False
        while True:
            for line in list(self.lines):
                if wanted(line):
                    return line
            assert not ended and time.monotonic() < end, "no such log line in:\n" + "\n".join(self.lines)
            ended = not self.reader.is_alive()
            time.sleep(0.005)

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait_exit(self, timeout=180):
        code = self.process.wait(timeout)
        self.reader.join(timeout)
        return code

    def stop(self):
        if self.process.poll() is None:
            self.signal()
        code = self.wait_exit()
        assert code == 0, f"exit {code}:\n" + "\n".join(self.lines)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.process.kill()
            self.process.wait()

    def classify(self, png, model="tiny", **options):
        return requests.post(f"{self.url}/v1/models/{model}/classify", params=options, data=png,
                             headers={"Content-Type": "image/png"}, timeout=120)

    def classify_json(self, body, model="tiny"):
        text = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return requests.post(f"{self.url}/v1/models/{model}/classify", data=text,
                             headers={"Content-Type": "application/json"}, timeout=120)

    def status(self):
        return requests.get(self.url + "/v1/status", timeout=10).json()

    def wait_status(self, wanted, timeout=30):
        """Until the status is as wanted. An answer is with its client a moment before its request has ended, so what a
        request holds is to be waited for, never to be looked up once after its answer."""
        end = time.monotonic() + timeout
        while not wanted(status := self.status()):
            assert time.monotonic() < end, status
            time.sleep(0.005)

    def wait_in_flight(self, n):
        """Until n requests are under way beside the one that asks."""
        self.wait_status(lambda status: status["requests_in_flight"] == n + 1)

    def wait_no_memory(self):
        """Until no request holds memory of the queue's, nor waits in it."""
        self.wait_status(lambda status: status["queue"]["bytes"] == status["queue"]["depth"] == 0)

    def admin(self, method, path, headers=None, **more):
        """A request to the admin listener, with the token unless the headers bring their own."""
        headers = {"Authorization": "Bearer " + self.TOKEN, **(headers or {})}
        return requests.request(method, f"http://{self.admin_address}{path}", headers=headers, timeout=120, **more)

    def raw(self, *pieces, timeout=5, half_close=True, pause=0.0, quiet=None, address=None):
        """Send bytes as they are; everything that comes back until the daemon closes, or was silent for `quiet` seconds
        after it said something (libmicrohttpd's epoll does not see an end of input that comes with data). To the public
        listener, or to the one at `address`."""
        host, _, port = (address or self.address).rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=max(timeout, 5)) as s:
            s.settimeout(timeout)
            for piece in pieces:
                try:
                    s.sendall(piece)
                except OSError:
                    break
                time.sleep(pause)
            if half_close:
                try:
                    s.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
            got = b""
            while True:
                try:
                    more = s.recv(65536)
                except socket.timeout:
                    assert quiet is not None, f"silent for {timeout} s after {got!r}"
                    return got
                except OSError:
                    return got
                if not more:
                    return got
                got += more
                if quiet is not None:
                    s.settimeout(quiet)

    def slow_timesteps(self, seconds, model="slow"):
        """A T that keeps `model` busy for about that long on this machine and build."""
        png = make.picture(1, 32, 3)
        self.classify(png, model, T=2)
        ms = min(self.classify(png, model, T=16).json()["latency_ms"]["simulate"] for _ in range(2))
        self.wait_in_flight(0)  # what comes next may wait for one of its own
        return max(16, min(4096, int(seconds * 1000 / (ms / 16))))


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    files = {
        "tiny": make.network(1, 8, 6, 3, labels=["a", "b", "c"]),
        "rgb": make.network(3, 8, 6, 4, depth=2, seed=2),
        "slow": make.network(3, 32, 64, 10, depth=3, seed=3),
        "wide": make.network(1, 8, 6, 20, seed=4, output=0.5),
        "broken": make.network(1, 8, 6, 3)[:200],
        "bad name": make.network(1, 8, 6, 3),
    }
    for name, content in files.items():
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(content)
    (folder / "empty").mkdir()
    bundled = ROOT / "models/lenet-mnist/model.safetensors"
    if bundled.exists():
        (folder / "lenet-mnist").mkdir()
        (folder / "lenet-mnist" / "model.safetensors").write_bytes(bundled.read_bytes())
    return folder


@pytest.fixture(scope="session")
def shared(models_folder):
    """One daemon for all tests that leave it as they found it."""
    with Daemon(models_folder) as d:
        yield d


@pytest.fixture
def daemon(shared):
    assert shared.process.poll() is None, "\n".join(shared.lines)
    return shared


@pytest.fixture(scope="module")
def hosts(models_folder, tmp_path_factory):
    """One with everything that takes uploads, for hostile ones."""
    folder = tmp_path_factory.mktemp("hosts")
    with Daemon(models_folder, "--state", str(folder / "state"), "--job-nice", "0", "--metrics-listen", "127.0.0.1:0",
                token_file=folder / "token") as d:
        d.metrics_address = re.search(r'address"?[=:]"?([^\s",}]+)', d.wait_log("metrics-listening")).group(1)
        yield d
