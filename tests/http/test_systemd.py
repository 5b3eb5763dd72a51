"""Under systemd: readiness and watchdog datagrams, sockets that were open before the daemon was."""
import os
import signal
import socket
import subprocess
import time

import pytest
import requests

from conftest import SPIKED, Daemon


@pytest.fixture(params=["path", "abstract"])
def notify(request, tmp_path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    name = str(tmp_path / "notify") if request.param == "path" else f"\0spiked-test-{os.getpid()}"
    s.bind(name)
    s.settimeout(20)
    yield name.replace("\0", "@"), s
    s.close()


def test_readiness_and_stopping(models_folder, notify):
    name, notify = notify
    with Daemon(models_folder, env={"NOTIFY_SOCKET": name}) as d:
        assert notify.recv(100) == b"READY=1"
        d.signal()
        assert notify.recv(100) == b"STOPPING=1"
        assert d.wait_exit() == 0


def test_the_watchdog_is_fed(models_folder, notify):
    name, notify = notify
    with Daemon(models_folder, env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}) as d:
        begin = time.monotonic()
        assert [notify.recv(100) for _ in range(5)] == [b"READY=1"] + [b"WATCHDOG=1"] * 4
        assert time.monotonic() - begin < 10
        d.signal(signal.SIGHUP)
        d.wait_log("reloaded")
        assert notify.recv(100) == b"WATCHDOG=1"


def test_a_watchdog_of_another_process_is_not_ours(models_folder, notify):
    name, notify = notify
    with Daemon(models_folder, env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "50000", "WATCHDOG_PID": "1"}):
        assert notify.recv(100) == b"READY=1"
        notify.settimeout(0.4)
        with pytest.raises(socket.timeout):
            notify.recv(100)


def start_with_sockets(folder, listening, variables, taken=None):
    """As systemd does: descriptors from 3 on, LISTEN_PID the daemon's own."""
    fds = [s.fileno() for s in listening]

    def move():
        copies = [os.dup2(fd, 100 + i, inheritable=False) for i, fd in enumerate(fds)]
        for i, fd in enumerate(copies):
            os.dup2(fd, 3 + i, inheritable=True)

    script = f'{variables} exec "$0" "$@"'
    return subprocess.Popen(["/bin/sh", "-c", script, SPIKED, "--models", str(folder), "--listen", taken or "127.0.0.1:1"],
                            stderr=subprocess.PIPE, preexec_fn=move, close_fds=False)


def listening_socket():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    return s


@pytest.mark.parametrize("names,which", [("", 0), ("LISTEN_FDNAMES=other:public", 1), ("LISTEN_FDNAMES=a:b", 0), ("LISTEN_FDNAMES=admin:public", 1)])
def test_sockets_that_were_there_before(models_folder, names, which):
    listening = [listening_socket(), listening_socket()]
    urls = [f"http://127.0.0.1:{s.getsockname()[1]}/livez" for s in listening]
    p = start_with_sockets(models_folder, listening, f"LISTEN_PID=$$ LISTEN_FDS=2 {names}")
    try:
        assert requests.get(urls[which], timeout=20).status_code == 200
        p.send_signal(signal.SIGTERM)
        assert p.wait(20) == 0
    finally:
        p.kill()
        p.wait()
        p.stderr.close()
        for s in listening:
            s.close()


def test_sockets_for_another_process_are_not_ours(models_folder):
    s = listening_socket()  # its own address is taken, as nobody gave it this socket
    p = start_with_sockets(models_folder, [s], "LISTEN_PID=1 LISTEN_FDS=1", f"127.0.0.1:{s.getsockname()[1]}")
    try:
        assert p.wait(20) == 1 and b"cannot listen on 127.0.0.1:" in p.stderr.read()
    finally:
        p.kill()
        p.wait()
        p.stderr.close()
        s.close()
