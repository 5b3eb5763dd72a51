"""The page's files and the sample pictures beside a model, as bytes over HTTP. The page itself is tested in tests/browser."""
import os
import re

import pytest
import requests

import models as make
from conftest import ROOT, Daemon

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_browser_gets_the_page_and_a_script_the_index(daemon):
    page, index = requests.get(daemon.url + "/", headers=BROWSER), requests.get(daemon.url + "/")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8" and page.text.startswith("<!doctype html>")
    assert index.headers["Content-Type"] == "application/json"
    assert page.headers["Vary"] == index.headers["Vary"] == "Accept"


def test_the_page_may_only_use_its_own_server(daemon):
    page = requests.get(daemon.url + "/", headers=BROWSER)
    policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in page.headers["Content-Security-Policy"] and policy["frame-ancestors"] == "'none'"
    named = set(re.findall(r'(?:src|href)="(/[^"#]*)"', page.text))
    assert named and not re.search(r'(?:src|href)="(?!/|#)', page.text), "the page names another host"
    for path in sorted(p for p in named if p.startswith("/web/")):
        reply = requests.get(daemon.url + path)
        assert reply.status_code == 200 and reply.content and reply.headers["X-Content-Type-Options"] == "nosniff", path


def test_files_are_those_of_the_tree(daemon):
    for file in sorted((ROOT / "clients/web").iterdir()):
        if file.suffix in (".js", ".css", ".svg"):
            assert requests.get(f"{daemon.url}/web/{file.name}").content == file.read_bytes(), file.name


@pytest.mark.parametrize("path", ["/web/", "/web/none.js", "/web/..%2findex.html", "/web/page.js/x"])
def test_no_other_files(daemon, path):
    assert requests.get(daemon.url + path).status_code == 404


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampled")
    samples = folder / "tiny" / "samples"
    samples.mkdir(parents=True)
    (folder / "tiny" / "model.safetensors").write_bytes(make.network(1, 8, 6, 3))
    (folder / "bare").mkdir()
    (folder / "bare" / "model.safetensors").write_bytes(make.network(1, 8, 6, 3))
    for name in ("b.png", "a.png"):
        (samples / name).write_bytes(make.picture(ord(name[0])))
    (samples / "notes.txt").write_text("no picture")
    (samples / ".hidden.png").write_bytes(b"x")
    (samples / "large.png").write_bytes(b"x" * 300_000)
    (samples / "empty.png").write_bytes(b"")
    (samples / "folder.png").mkdir()
    os.symlink("../model.safetensors", samples / "link.png")
    os.mkfifo(samples / "pipe.png")
    with Daemon(folder) as d:
        yield d, samples


def test_samples_are_listed_and_served(sampled):
    daemon, samples = sampled
    base = daemon.url + "/v1/models/tiny/samples"
    names = requests.get(base).json()["samples"]
    assert names[:2] == ["a.png", "b.png"] and "notes.txt" not in names and ".hidden.png" not in names
    reply = requests.get(base + "/a.png")
    assert reply.headers["Content-Type"] == "image/png" and reply.content == (samples / "a.png").read_bytes()
    assert requests.get(daemon.url + "/v1/models/bare/samples").json() == {"samples": []}


@pytest.mark.parametrize("name", ["none.png", "notes.txt", ".hidden.png", "large.png", "empty.png", "folder.png", "link.png", "pipe.png",
                                  "..%2fmodel.safetensors", "%2e%2e", "a.png%00", "a" * 200 + ".png"])
def test_nothing_else_is_served(sampled, name):
    reply = requests.get(f"{sampled[0].url}/v1/models/tiny/samples/{name}")
    assert reply.status_code in (400, 404), reply.text
    assert requests.get(f"{sampled[0].url}/v1/models/nothing/samples").status_code == 404


def test_the_operations_page_needs_no_token_but_everything_else_does(tmp_path):
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "models" / "tiny" / "model.safetensors").write_bytes(make.network(1, 8, 6, 3))
    token = tmp_path / "token"
    token.write_text("a-token-of-the-page-tests\n")
    token.chmod(0o600)
    with Daemon(tmp_path / "models", "--admin-listen", "127.0.0.1:0", "--admin-token-file", str(token)) as d:
        url = "http://" + re.search(r"address=(\S+)", d.wait_log("admin-listening")).group(1)
        page = requests.get(url + "/", headers=BROWSER)
        assert page.status_code == 200 and "operations" in page.text and "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
        for path in re.findall(r'(?:src|href)="(/[^"#]*)"', page.text):
            assert requests.get(url + path).status_code == 200, path
        assert requests.get(url + "/console/none.js").status_code == 404
        assert requests.get(url + "/").status_code == requests.get(url + "/metrics").status_code == 401
        assert requests.post(url + "/", headers=BROWSER).status_code == requests.get(url + "/web/page.js").status_code == 401
        assert requests.get(url + "/", headers={**BROWSER, "Host": "elsewhere.example"}).status_code == 403
        assert requests.get(url + "/console/style.css", headers={"Origin": "http://elsewhere.example"}).status_code == 403
