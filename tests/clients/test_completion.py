"""Completion as the shells do it: what stands on the command line, and what Tab offers then."""
import os
import re
import shutil
import subprocess

import pytest

from client_support import ROOT, SPIKECTL

BASH = """
source "$COMPLETION"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_spikectl
printf '%s\\n' "${COMPREPLY[@]}"
"""
# A terminal of zsh's own with its completion system. Tab lists the matches, each after the mark <m that list-colors makes it send.
ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; fpath=($FOLDER \$fpath); autoload -U compinit; compinit -u -D; zstyle ':completion:*' list-colors 'no=<:>'"
zpty -w z "zstyle ':completion:*' verbose no; bindkey '^I' list-choices; stty cols 200; print rea''dy"
zpty -r -m z seen '*ready*'
for line; do
  zpty -w -n z "$line"$'\t'
  zpty -r -m z listed '*<m*'
  zpty -w -n z $'\C-u'"print do''ne"$'\n'
  zpty -r -m z rest '*done*'
  print -r -- "$listed$rest" | tr -d '\r\n'
  print
done
"""

CASES = [
    ("spikectl ca", {"calibrate", "calibrations"}),
    ("spikectl unl", {"unload"}),
    ("spikectl classify --ne", {"--neuron"}),
    ("spikectl classify --neuron lif", {"lif", "lif-soft"}),
    ("spikectl compare --by pre", {"precision"}),
    ("spikectl calibrate --gran", {"--granularity"}),
    ("spikectl calibrate --method d", {"data"}),
    ("spikectl job --", {"--cancel", "--wait", "--admin-url", "--token-file", "--url", "--model", "--key-file", "--json", "--csv", "--help"}),
    ("spikectl classify -m le", {"lenet-mnist"}),
    ("spikectl models l", {"lenet-mnist"}),
]


def environment(server, tmp_path, **more):
    return {"PATH": f"{os.path.dirname(SPIKECTL)}:/usr/bin:/bin", "HOME": str(tmp_path), "SPIKECTL_URL": server.url, "TERM": "xterm", **more}


def bash(server, tmp_path, *words):
    done = subprocess.run(["bash", "-c", BASH, "bash", *words], capture_output=True, text=True, timeout=30, check=True, cwd=tmp_path,
                          env=environment(server, tmp_path, COMPLETION=str(ROOT / "clients/spikectl/completion.bash")))
    return set(done.stdout.split())


@pytest.mark.parametrize("line,expected", CASES)
def test_bash(server, tmp_path, line, expected):
    assert bash(server, tmp_path, *line.split()) == expected


def test_bash_knows_values_files_and_flags_before_the_command(server, tmp_path):
    (tmp_path / "digit.png").touch()
    assert bash(server, tmp_path, "spikectl", "classify", "--neuron", "=", "srif") == {"srif", "srif-mpr"}
    assert bash(server, tmp_path, "spikectl", "classify", "--readout", "=") == {"potential", "count"}
    assert bash(server, tmp_path, "spikectl", "classify", "dig") == {"digit.png"}
    assert bash(server, tmp_path, "spikectl", "calibrate", "--token-file", "dig") == {"digit.png"}
    assert bash(server, tmp_path, "spikectl", "--url", server.url, "stat") == {"status"}
    assert bash(server, tmp_path, "spikectl", "classify", "-T", "") == set()


def test_zsh(server, tmp_path):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    done = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh", *[line for line, _ in CASES]], capture_output=True, text=True, timeout=180, check=True,
                          cwd=tmp_path, env=environment(server, tmp_path, FOLDER=str(ROOT / "clients/spikectl")))
    offered = [set(re.findall(r"<m(?:\x1b\[J)?([\w-]+)", listing)) for listing in done.stdout.split("\n") if listing]
    assert offered == [expected for _, expected in CASES]
