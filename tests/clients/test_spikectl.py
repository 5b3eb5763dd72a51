"""spikectl as people and scripts use it: what it prints, what it says when it fails, its exit statuses."""
import csv
import http.server
import io
import json
import os
import pty
import re
import shutil
import subprocess
import threading

import pytest

from client_support import ROOT, SPIKECTL, http as daemons

SAMPLES = ROOT / "models/lenet-mnist/samples"


def test_classify_a_folder_keeps_its_order(spikectl):
    lines = spikectl.ok("classify", SAMPLES, "-T", 8).splitlines()
    assert lines[0].split() == ["file", "class", "probability", "T", "spikes", "ms"]
    assert [line.split()[0].split("/")[-1] for line in lines[1:]] == [f"{i}.png" for i in range(10)]
    assert [line.split()[1] for line in lines[1:]] == [str(i) for i in range(10)]
    assert all(line.split()[3] == "8" for line in lines[1:])


def test_classify_standard_input_as_json(spikectl, server):
    png = (SAMPLES / "3.png").read_bytes()
    answer = json.loads(spikectl.ok("classify", "-", "--json", "-T", 4, "--neuron", "srif", stdin=png))
    direct = server.classify(png, "lenet-mnist", T=4, neuron="srif").json()
    assert answer["file"] == "-" and answer["results"] == direct["results"] and answer["neuron"] == "srif"


def test_classify_csv(spikectl, tmp_path):
    name = 'a "quoted", name.png'
    shutil.copy(SAMPLES / "7.png", tmp_path / name)
    rows = list(csv.reader(io.StringIO(spikectl.ok("classify", "--csv", tmp_path / name))))
    assert rows[0] == ["file", "class", "probability", "T", "spikes", "ms"] and rows[1][:2] == [str(tmp_path / name), "7"]


def test_class_folders_are_judged(spikectl, tmp_path):
    for digit, folder in (("1", "1"), ("2", "2"), ("3", "4")):
        (tmp_path / folder).mkdir()
        shutil.copy(SAMPLES / f"{digit}.png", tmp_path / folder / "x.png")
    done = spikectl("classify", tmp_path, "-T", 16, "-c", 1)
    assert done.returncode == 0 and b"2 of 3 as their folder says (66.67 %)" in done.stderr


def test_every_picture_gets_its_line(spikectl, tmp_path):
    """A file that is no picture, one that is not there, and a good one: two messages, one row, the worst status."""
    (tmp_path / "bad.png").write_text("no picture")
    done = spikectl("classify", tmp_path / "bad.png", SAMPLES / "5.png", "-T", 4)
    assert done.returncode == 4 and b"bad.png: " in done.stderr and b"5.png" in done.stdout
    done = spikectl("classify", tmp_path / "none.png", SAMPLES / "5.png", "-T", 4)
    assert done.returncode == 1 and b"none.png: No such file" in done.stderr and b"5.png" in done.stdout
    (tmp_path / "empty").mkdir()
    assert "no .png file" in spikectl.fails(1, "classify", tmp_path / "empty")


def test_options_go_to_the_server_as_they_are(spikectl):
    said = spikectl.fails(4, "classify", SAMPLES / "1.png", "--option", "neuron=a&b=c d")
    assert "neuron: expected one of" in said and "'a&b=c d'" in said
    answer = json.loads(spikectl.ok("classify", SAMPLES / "1.png", "--json", "--top-k", 2, "--tau", "0.5", "--neuron", "lif"))
    assert len(answer["results"][0]["top"]) == 2 and answer["tau"] == 0.5


@pytest.mark.parametrize("by,values", [("timesteps", ["1", "2", "4", "8", "16", "32", "64", "128"]), ("neuron", None)])
def test_compare(spikectl, server, by, values):
    lines = [line.split() for line in spikectl.ok("compare", SAMPLES / "8.png", "--by", by).splitlines()]
    assert lines[0][0] == by and lines[-1][:2] == ["float", "network"] and lines[-1][2] == "8"
    assert [line[0] for line in lines[1:-1]] == (values or ["if", "if-hard", "lif", "lif-soft", "srif", "srif-mpr", "asg", "if-signed"])
    assert server.process.poll() is None


def test_compare_chosen_values_and_a_refused_one(spikectl):
    done = spikectl("compare", SAMPLES / "8.png", "--by", "T", "--values", "4,0,8", "--json")
    assert done.returncode == 4 and b"timesteps=0: timesteps: expected" in done.stderr
    assert [a["timesteps"] for a in json.loads(done.stdout)] == [4, 8]
    assert "--values" in spikectl.fails(2, "compare", SAMPLES / "8.png", "--by", "nothing")


def test_models_and_status(spikectl):
    assert "lenet-mnist" in spikectl.ok("models") and "1x28x28" in spikectl.ok("models")
    assert "srif-mpr" in spikectl.ok("models", "lenet-mnist")
    assert json.loads(spikectl.ok("models", "lenet-mnist", "--json"))["classes"] == 10
    assert "ready" in spikectl.ok("status") and json.loads(spikectl.ok("status", "--json"))["state"] == "ready"
    assert "no model of that name" in spikectl.fails(4, "models", "nothing")
    rows = dict(csv.reader(io.StringIO(spikectl.ok("status", "--csv"))))
    assert rows["name"] == "value" and rows["state"] == "ready" and rows["models"] == "1"
    assert spikectl.ok("models", "lenet-mnist", "--csv") == spikectl.ok("models", "--csv")


def test_progress_is_shown_on_a_terminal_alone(spikectl):
    """A bar while it runs, gone at the end; answers go elsewhere."""
    ours, theirs = pty.openpty()
    done = subprocess.run([SPIKECTL, "classify", SAMPLES, "-T", "64", "-c", "1"], stdout=subprocess.PIPE, stderr=theirs, check=True, timeout=180,
                          env=spikectl.environment)
    os.close(theirs)
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert re.search(r"\rclassify \[#+ *\] \d+/10", said) and "10 of 10 pictures classified" in said
    assert len(done.stdout.splitlines()) == 11 and b"\r" not in done.stdout
    assert b"[#" not in spikectl("classify", SAMPLES).stderr


def test_keys(spikectl, folder, tmp_path):
    """A daemon that wants a key: said what to do, and taken from a flag, the environment, the configuration."""
    (tmp_path / "keys").write_text("me a-key-of-sixteen-and-more\n")
    (tmp_path / "key").write_text("a-key-of-sixteen-and-more\n")
    with daemons.Daemon(folder, "--api-keys-file", str(tmp_path / "keys")) as daemon:
        spikectl.environment["SPIKECTL_URL"] = daemon.url
        assert "give a key with --key-file" in spikectl.fails(4, "status")
        assert "ready" in spikectl.ok("status", "--key-file", tmp_path / "key")
        assert spikectl.ok("classify", SAMPLES, "-T", 1, SPIKECTL_KEY_FILE=str(tmp_path / "key")).count("\n") == 11
        (tmp_path / "conf").write_text(f"key_file = {tmp_path}/key\n")
        assert "lenet-mnist" in spikectl.ok("models", SPIKECTL_CONFIG=str(tmp_path / "conf"))
        assert "No such file" in spikectl.fails(2, "status", "--key-file", tmp_path / "none")


def test_bench_counts_what_it_sent(spikectl):
    report = json.loads(spikectl.ok("bench", SAMPLES / "1.png", "-T", 1, "--rate", 50, "--duration", 1, "--json"))
    assert report["sent"] == report["answered"] == 50 and report["failed"] == report["shed"] == 0
    ms = report["latency_ms"]
    assert 0 < ms["p50"] <= ms["p90"] <= ms["p99"] <= ms["p99.9"] <= ms["max"]
    assert "answered" in spikectl.ok("bench", SAMPLES, "-T", 1, "--rate", 20, "--duration", 0.5, "--constant")
    assert "expected one of" in spikectl.fails(4, "bench", SAMPLES / "1.png", "--rate", 10, "--duration", 0.2, "--neuron", "x")


def test_where_the_daemon_is(spikectl, server, tmp_path):
    """Flag beats environment beats file."""
    (tmp_path / ".config").mkdir()
    conf = tmp_path / ".config/spikectl.conf"
    conf.write_text(f"# where\n\nurl = {server.url}/\nmodel=lenet-mnist\n")
    del spikectl.environment["SPIKECTL_URL"]
    assert "lenet-mnist" in spikectl.ok("status")
    spikectl.fails(6, "status", SPIKECTL_URL="http://127.0.0.1:1")
    assert "lenet-mnist" in spikectl.ok("status", "--url", server.url, SPIKECTL_URL="http://127.0.0.1:1")
    assert "lenet-mnist" in spikectl.ok("--url", server.url, "status", SPIKECTL_URL="http://127.0.0.1:1")
    conf.write_text(f"url = {server.url}\nmodel = nothing\n")
    assert "no model" in spikectl.fails(4, "classify", SAMPLES / "1.png")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["classify"], ["classify", "--nonsense", "x"], ["compare"], ["compare", "a", "b"],
                                       ["classify", "x", "--json", "--csv"], ["classify", "x", "-c", "0"], ["bench", "x", "--rate", "fast"],
                                       ["classify", "x", "--option", "T"], ["models", "a", "b"], ["status", "x"]])
def test_usage(spikectl, arguments):
    assert spikectl.fails(2, *arguments)


@pytest.mark.parametrize("command", ["classify", "compare", "models", "status", "bench"])
def test_help(spikectl, command):
    assert "--url" in spikectl.ok(command, "--help") and command in spikectl.ok("--help")


def test_unreachable_and_strange_servers(spikectl, tmp_path):
    assert "is the daemon running there" in spikectl.fails(6, "status", "--url", "http://127.0.0.1:1")
    assert spikectl.fails(2, "status", "--url", "gopher://127.0.0.1/")

    class Strange(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(500 if self.path == "/v1/status" else 200)
            self.end_headers()
            self.wfile.write(b"<html>\x1b[31m")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Strange) as strange:
        threading.Thread(target=strange.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{strange.server_address[1]}"
        assert "HTTP status 500" in spikectl.fails(5, "status", "--url", url)
        assert "not JSON" in spikectl.fails(5, "models", "--url", url)
        strange.shutdown()


def test_a_closed_pipe_is_a_failure(spikectl):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([SPIKECTL, "status"], stdout=full, stderr=subprocess.PIPE, env=spikectl.environment, check=False)
    assert done.returncode == 1 and b"cannot write" in done.stderr


def test_the_manual_and_the_completions_know_every_command_and_flag(spikectl):
    manual = (ROOT / "clients/spikectl/spikectl.1").read_text()
    bash = (ROOT / "clients/spikectl/completion.bash").read_text()
    zsh = (ROOT / "clients/spikectl/_spikectl").read_text()
    commands = [line.split()[0] for line in spikectl.ok("--help").split("Commands:\n")[1].split("\n\n")[0].splitlines()]
    flags = set()
    for command in commands:
        flags |= {word.split("=")[0].rstrip(",") for word in spikectl.ok(command, "--help").split() if word.startswith("--") and len(word) > 2}
    for text in (bash, zsh, manual.replace("\\-", "-")):
        assert not [c for c in commands if c not in text]
        assert not [f for f in sorted(flags) if f not in text and f not in ("--help", "--usage", "--version")]
