"""Replicas of the daemon behind HAProxy or nginx, and a client of many connections: for test_haproxy.py, test_nginx.py and
`make failover`."""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import models as make  # noqa: E402
from conftest import ROOT, Daemon  # noqa: E402

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def free_port():
    """One that nobody has now; the kernel hands out others first."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Replicas:
    """Three daemons, each on a port of its own that it keeps when it is started again, and HAProxy with the config of
    deploy/."""

    def __init__(self, folder, *flags):
        self.folder, self.flags = folder, flags
        self.ports = [free_port() for _ in range(3)]
        self.daemons = [self.start(i) for i in range(3)]
        self.port = free_port()
        self.proxy = self.start_proxy()

    def start_proxy(self):
        environment = dict(os.environ, HAPROXY_BIND=f"127.0.0.1:{self.port}", HAPROXY_STATS=f"127.0.0.1:{free_port()}",
                           **{f"SPIKED_{i + 1}": f"127.0.0.1:{p}" for i, p in enumerate(self.ports)})
        return subprocess.Popen([HAPROXY, "-db", "-q", "-f", str(ROOT / "deploy/haproxy.cfg")], env=environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self, i):
        return Daemon(self.folder, "--drain-delay", "2", *self.flags, listen=f"127.0.0.1:{self.ports[i]}")

    def restart(self, i):
        """As a deployment does."""
        self.daemons[i].stop()
        self.daemons[i] = self.start(i)

    def kill(self, i):
        self.daemons[i].signal(signal.SIGKILL)
        self.daemons[i].wait_exit()
        self.daemons[i] = self.start(i)

    def stop(self):
        self.proxy.terminate()
        self.proxy.wait(10)
        for d in self.daemons:
            d.process.kill()
            d.wait_exit()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class NginxReplicas(Replicas):
    """The same behind nginx, with the config of deploy/ but for its ports."""

    def start_proxy(self):
        self.home = tempfile.TemporaryDirectory()
        home = pathlib.Path(self.home.name)
        home.chmod(0o755)  # started by root, its workers are somebody else
        config = (ROOT / "deploy/nginx.conf").read_text()
        for was, port in zip((8000, 8080, 8082, 8084), (self.port, *self.ports)):
            assert len(re.findall(rf"\b{was};|:{was} ", config)) == 1
            config = re.sub(rf"\b{was}([; ])", rf"{port}\1", config)
        (home / "spiked.conf").write_text(config)
        folders = "".join(f"{kind}_temp_path {home}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (home / "nginx.conf").write_text(
            f"daemon off; pid {home}/pid; error_log stderr; worker_processes 1;\nevents {{ worker_connections 1024; }}\n"
            f"http {{ access_log off;\n{folders}include {home}/spiked.conf; }}\n")
        return subprocess.Popen([NGINX, "-e", "stderr", "-c", str(home / "nginx.conf"), "-p", str(home)], stderr=subprocess.DEVNULL)

    def stop(self):
        super().stop()
        self.home.cleanup()


class Client(threading.Thread):
    """tests/load/openloop against the proxy; `report` is what it printed."""

    def __init__(self, port, *flags, model="tiny"):
        super().__init__()
        with tempfile.NamedTemporaryFile(delete=False) as f:
            f.write(make.picture(1))
        self.body = f.name
        program = os.environ.get("OPENLOOP_BIN", str(ROOT / "build/release/openloop"))
        self.process = subprocess.Popen(
            [program, "--path", f"/v1/models/{model}/classify?T=4", "--body", self.body, *flags, f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE)
        self.report = None
        self.start()

    def run(self):
        out, _ = self.process.communicate()
        self.report = json.loads(out)
        os.unlink(self.body)

    def running(self):
        return self.process.poll() is None


def wait_served(port, timeout=20):
    import requests
    end = time.monotonic() + timeout
    while True:
        try:
            if requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except requests.ConnectionError:
            pass
        assert time.monotonic() < end, "the proxy does not serve"
        time.sleep(0.05)
