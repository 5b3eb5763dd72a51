"""spikectl for operators: from upload to rollback, and every way to be refused."""
import json
import os
import socket
import struct
import subprocess
import threading

import pytest

from client_support import ROOT, Spikectl, http

TOKEN = "a-token-of-the-client-tests"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    folder, state = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("state")
    (folder / "tiny").mkdir()
    (folder / "tiny" / "model.safetensors").write_bytes(http.make.network(1, 8, 6, 3, labels=["a", "b", "c"]))
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN + "\n")
    token.chmod(0o600)
    with http.Daemon(folder, "--state", str(state), "--job-nice", "0", "--admin-listen", "127.0.0.1:0", "--admin-token-file", str(token)) as d:
        d.token_file, d.models = token, folder
        yield d


@pytest.fixture
def operator(daemon, tmp_path):
    line = daemon.wait_log("admin-listening")
    ctl = Spikectl(daemon.url, tmp_path)
    ctl.environment["SPIKECTL_ADMIN_URL"] = "http://" + line.split("address")[1].strip("=\": ").split()[0].strip('",}')
    ctl.environment["SPIKECTL_TOKEN_FILE"] = str(daemon.token_file)
    return ctl


@pytest.fixture
def pictures(tmp_path):
    for label in "abc":
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for i in range(12):
            (tmp_path / "pictures" / label / f"{i}.png").write_bytes(http.make.picture(ord(label) * 100 + i))
    return tmp_path / "pictures"


def test_from_upload_to_rollback(operator, pictures):
    assert "no calibration in force" in operator.ok("calibrations")
    said = operator.ok("calibrate", pictures, "-T", "4,8", "--min-gain=-100", "--wait")
    assert "36 pictures: " in said and "measured: accuracy" in said and "activated as generation 1" in said
    first = operator.ok("calibrations", "--csv").splitlines()[1].split(",")[0]
    kept = json.loads(operator.ok("calibrate", pictures, "-T", "8", "--method", "data", "--granularity", "layer", "--no-activate", "--wait", "--json"))
    assert kept["state"] == "succeeded" and kept["result"]["activated"] is False and kept["options"]["method"] == "data"
    second = kept["result"]["calibration"]
    assert f"calibration 2-{second[:12]} in force" in operator.ok("activate", second[:12])
    assert f"calibration 3-{first[:12]} in force" in operator.ok("rollback")
    assert "no calibration in force" in operator.ok("activate", "own")
    both = json.loads(operator.ok("calibrations", "--json"))
    assert both["in_force"]["generation"] == 4 and len(both["calibrations"]) == 2
    assert "no calibration begins so" in operator.fails(4, "activate", "0123456789")


def test_how_pictures_are_called(operator, pictures, tmp_path):
    """By their path below the folder that is named: class folders, a flat folder with a CSV, several folders."""
    def job(*arguments):
        done = json.loads(operator.ok("calibrate", *arguments, "-T", "4", "--no-activate", "--wait", "--json"))
        return done["result"]["pictures"]

    assert job(pictures)["labelled"] and job(f"{pictures}/")["labelled"]
    assert job(pictures / "a", pictures / "b", pictures / "c")["labelled"]
    flat = tmp_path / "flat"
    flat.mkdir()
    for label in "abc":
        for i in range(12):
            (flat / f"{label}{i}.png").write_bytes((pictures / label / f"{i}.png").read_bytes())
    assert not job(flat)["labelled"]
    (tmp_path / "labels.csv").write_text("".join(f"{p.name},{p.name[0]}\n" for p in flat.iterdir()))
    assert job(flat, "--labels", tmp_path / "labels.csv") == {**job(pictures), "skipped": []}
    assert json.loads(operator.ok("calibrate", flat, "-T", "4", "--no-fit-thresholds", "--no-activate", "--wait", "--json")
                      )["options"]["fit_thresholds"] is False


def test_a_job_is_followed_and_cancelled(operator, pictures):
    started = json.loads(operator.ok("calibrate", pictures, "-T", "512", "--no-activate", "--json"))
    done = operator("job", started["id"], "--cancel")
    assert done.returncode in (0, 1)
    ended = operator("job", started["id"], "--wait")
    assert (ended.returncode == 1 and b"cancelled" in ended.stderr) or b"not activated" in ended.stdout


def test_files_that_cannot_be_read_are_named_and_nothing_is_sent(operator, pictures, tmp_path):
    (pictures / "a" / "0.png").unlink()
    (pictures / "a" / "0.png").symlink_to(tmp_path / "nowhere.png")
    before = json.loads(operator.ok("calibrations", "--json"))
    said = operator.fails(1, "calibrate", pictures / "a" / "0.png", pictures)
    assert "0.png" in said and json.loads(operator.ok("calibrations", "--json")) == before


def test_files_are_spoken_of_one_by_one(operator, pictures):
    """What is left out of a folder, and what the daemon could not read."""
    (pictures / "a/notes.txt").write_text("no picture")
    (pictures / "b/torn.png").write_bytes(http.make.picture(5)[:40])
    done = operator("calibrate", pictures, "-T", "4", "--no-activate", "--wait", "--csv")
    assert done.returncode == 0 and b"a/notes.txt: left out" in done.stderr and b"b/torn.png: not used: " in done.stderr, done.stderr
    assert done.stdout.startswith(b'T,before,after,"gain, points",95 %\n4,')


def test_a_broken_upload_is_said_file_by_file(operator, tmp_path):
    """Somebody who listens, reads a part of it, and dies."""
    for i in range(8):
        with open(tmp_path / f"{i}.png", "wb") as f:
            f.truncate(8 << 20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def die_early():
            peer, _ = listener.accept()
            left = 20 << 20
            while left > 0:
                left -= len(peer.recv(1 << 16))
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()

        thread = threading.Thread(target=die_early)
        thread.start()
        said = operator.fails(6, "calibrate", *sorted(tmp_path.glob("*.png")), "-m", "tiny", "--admin-url", f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert "0.png: sent" in said and "7.png: not sent" in said and said.count("broke off in it") == 1 and "send all again" in said, said


def test_the_servers_refusals_are_its_words(operator, pictures):
    assert "granularity: expected one of" in operator.fails(4, "calibrate", pictures, "--granularity", "pixel")
    assert "timesteps: expected" in operator.fails(4, "calibrate", pictures, "-T", "99999")
    assert "labels" in operator.fails(4, "calibrate", pictures / "a", "--labels", pictures / "a" / "1.png")
    assert operator.fails(4, "job", "no-such-job") and operator.fails(4, "load", "nothing")


def test_load_and_unload(operator, daemon):
    assert operator.ok("unload", "tiny") == "tiny: unavailable\n"
    assert operator.ok("load", "tiny") == "tiny: ready\n"
    (daemon.models / "broken").mkdir()
    (daemon.models / "broken" / "model.safetensors").write_bytes(b"no model")
    assert "broken" in operator.fails(4, "load", "broken")


def test_tokens(operator, tmp_path):
    (tmp_path / "wrong").write_text("another-token-altogether\n")
    assert "--token-file" in operator.fails(4, "calibrations", "--token-file", tmp_path / "wrong", "-m", "tiny")
    assert "name the file" in operator.fails(2, "calibrations", "-m", "tiny", SPIKECTL_TOKEN_FILE="")
    assert "No such file" in operator.fails(2, "calibrations", "-m", "tiny", "--token-file", tmp_path / "none")
    assert "is the daemon running there" in operator.fails(6, "calibrations", "-m", "tiny", "--admin-url", "http://127.0.0.1:1")


def test_the_same_with_curl(operator, pictures):
    """clients/examples/calibrate.sh"""
    done = subprocess.run([ROOT / "clients/examples/calibrate.sh", pictures, "tiny", "4"], capture_output=True, text=True,
                          timeout=180, check=False, env={**os.environ, "TOKEN": TOKEN, "ADMIN": operator.environment["SPIKECTL_ADMIN_URL"]})
    assert done.returncode == 0, done.stderr
    assert "T = 4\tagreement" in done.stdout and ("is in force: " in done.stdout or "not activated: " in done.stdout)
    done = subprocess.run([ROOT / "clients/examples/calibrate.sh", pictures, "tiny", "0"], capture_output=True, text=True,
                          timeout=180, check=False, env={**os.environ, "TOKEN": TOKEN, "ADMIN": operator.environment["SPIKECTL_ADMIN_URL"]})
    assert done.returncode != 0 and "timesteps: expected" in done.stdout + done.stderr
