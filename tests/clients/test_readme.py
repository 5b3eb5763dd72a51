"""What the README tells to paste works as it stands, but for the daemon's address and where the programs were built."""
import pathlib
import re
import subprocess

import pytest

from client_support import ROOT, SPIKECTL

README = (ROOT / "README.md").read_text()


def blocks(section):
    text = README.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [code for code in re.findall(r"```sh\n(.*?)```", text, re.S)]


def run(server, code):
    code = code.replace("127.0.0.1:8080", server.address).replace("build/release/", f"{pathlib.Path(SPIKECTL).parent}/")
    code = code.replace("--duration 10", "--duration 1")  # nobody has ten seconds
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "SPIKECTL_URL": server.url})
    assert done.returncode == 0 and '"error"' not in done.stdout, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("section,expected", [
    ("Ask it", [r'"label": ?"7".*"label": ?"1".*"label": ?"2".*"variants"', r"(?s)7\.png +7 .*neuron .*srif.*answered"]),
    ("Open Inference Protocol", [r'"data": ?\["[\d.]+:7:7"']),
])
def test_commands(server, section, expected):
    code = blocks(section)
    assert len(code) == len(expected)
    for each, said in zip(code, expected):
        answer = run(server, each)
        assert re.search(said, answer, re.S), answer


def test_what_is_linked_is_there():
    for page in [ROOT / "README.md", *ROOT.glob("clients/**/*.md"), *ROOT.glob("deploy/*.md")]:
        for target in re.findall(r"\]\(((?!https?:)[^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"
