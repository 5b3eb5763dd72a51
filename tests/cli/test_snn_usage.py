"""`snn`'s arguments: help, version, commands it does not know; every option used wrongly exits 2 and is named."""
import re

import pytest

import cli_support as cli

OPTIONS = {
    "convert": ["output", "data", "limit", "threshold", "per", "mean", "std", "background", "labels", "name", "weights",
                "timesteps", "init", "threads"],
    "inspect": ["json"],
    "eval": ["data", "timesteps", "limit", "neuron", "init", "calibration", "shift", "tau", "threads", "json", "csv",
             "layers", "layer-limit", "plots"],
    "verify": ["data", "limit", "write-inputs", "scores", "tolerance", "timesteps", "neuron", "init", "calibration",
               "shift", "tau", "threads", "json"],
    "calibrate": ["output", "data", "limit", "timesteps", "method", "granularity", "rounds", "fit-thresholds", "plain-mean",
                  "embed", "recommend", "neuron", "tau", "threads"],
    "classify": ["timesteps", "neuron", "init", "calibration", "shift", "tau", "threads", "top-k", "trace",
                 "reference"],
    "bench": ["timesteps", "batch", "data", "seconds", "neuron", "init", "calibration", "shift", "tau", "threads",
              "json"],
}
FLAGS = {"json", "csv", "reference", "plain-mean", "embed", "fit-thresholds", "layers"}
OPTIONAL = {"csv"}  # flags that may have a value


def test_help_and_version():
    text = cli.ok("--help")
    assert cli.ok("-h") == text
    for command in OPTIONS:
        assert re.search(rf"^  {command} +\w", text, re.M)
    makefile = (cli.ROOT / "Makefile").read_text()
    assert cli.ok("--version") == "snn " + re.search(r"^VERSION := (\S+)", makefile, re.M).group(1) + "\n"


def test_no_command_and_unknown_commands():
    assert cli.misused().startswith("Usage: snn COMMAND")
    for name in ("frobnicate", "Convert", "--frobnicate", ""):
        assert cli.misused(name) == f"snn: '{name}' is not a command; `snn --help` lists them"


@pytest.mark.parametrize("command", OPTIONS)
def test_help_of_a_command_mentions_every_option(command):
    text = cli.ok(command, "--help")
    assert text.startswith(f"Usage: snn {command} [OPTION...] MODEL")
    listed = set(re.findall(r"^ +(?:-\S, )?--([a-z-]+)[=\n \[]", text, re.M))
    assert set(OPTIONS[command]) <= listed
    for option in OPTIONS[command]:
        assert (f"--{option}=" in text) == (option not in FLAGS)
    documented = listed - {"help", "usage"}
    for option in documented:  # and what it mentions, it knows
        assert "unrecognized" not in cli.run(command, f"--{option}", "--help").stderr


@pytest.mark.parametrize("command,option", [(c, o) for c in OPTIONS for o in OPTIONS[c] if o not in FLAGS])
def test_option_without_its_value(command, option):
    assert cli.misused(command, "m", "p", f"--{option}") == f"snn {command}: option '--{option}' requires an argument"


@pytest.mark.parametrize("command,option", [(c, o) for c in OPTIONS for o in OPTIONS[c] if o in FLAGS - OPTIONAL])
def test_flag_with_a_value(command, option):
    assert cli.misused(command, "m", f"--{option}=1") == f"snn {command}: option '--{option}' doesn't allow an argument"


WRONG = {
    "threshold": ["mean", "", "percentile", "percentile=", "percentile=0", "percentile=100.1", "percentile=-1",
                  "percentile=nan", "percentile=9x", "MAX"],
    "per": ["neuron", "", "channels"],
    "mean": ["", "a", "1,", ",1", "1,,2", "1 2", ",".join("1" * 65)],
    "std": ["", "a", "1;2", "0.5,"],
    "background": ["-1", "256", "black", ""],
    "weights": ["f64", "", "F32", "i4"],
    "neuron": ["lif2", "", "IF"],
    "init": ["one", "", "HALF"],
    "shift": ["2", "-1", "yes", ""],
    "tau": ["0", "-0.5", "1.01", "nan", "x", "0.5x", ""],
    "tolerance": ["-1", "1", "nan", "x", ""],
    "method": ["half", "zero", "", "MATCHED"],
    "granularity": ["pixel", ""],
    "rounds": ["0", "17", "x"],
    "threads": ["0", "-1", "1025", "two", "1.5", ""],
    "top-k": ["0", "-1", "all", "4294967296", ""],
    "trace": ["everything", ""],
    "batch": ["0", "4097", "-1", "x"],
    "seconds": ["0", "3601", "-1", "0.5", "x"],
    "layer-limit": ["0", "-1", "some", ""],
    "limit": ["-1", "many", "4294967296", "99999999999999999999", "0x10", "+1", " 1", ""],
    "timesteps": ["0", "4097", "-1", "8.5", "x", "", "8,", " 8"],
}
LISTS = ["16,8", "8,8", "4,,8", ",8", "4,8,", "4;8", "4, 8", "1,4097", ",".join(map(str, range(1, 66)))]
TIMESTEPS = {"convert": ["8,16"], "classify": ["8,16"], "verify": ["8,16"], "eval": LISTS, "bench": LISTS, "calibrate": LISTS}


@pytest.mark.parametrize("command,option", [(c, o) for c in OPTIONS for o in OPTIONS[c] if o in WRONG])
def test_wrong_values(command, option):
    values = WRONG[option] + (TIMESTEPS[command] if option == "timesteps" else [])
    if option == "limit" and command in ("eval", "verify"):
        values = values + ["0"]
    if option == "timesteps" and command == "verify":
        values = values[1:]  # 0: no spiking network at all
    for value in values:
        line = cli.misused(command, "m", "p", f"--{option}={value}")
        assert line.startswith(f"snn {command}: {option}: "), f"{value!r}: {line}"


@pytest.mark.parametrize("command", ["convert", "eval", "calibrate", "classify", "bench"])
def test_short_timesteps(command):
    assert cli.misused(command, "m", "p", "-T", "0").startswith(f"snn {command}: timesteps: '0' ")
    assert "requires an argument -- 'T'" in cli.misused(command, "m", "p", "-T")


@pytest.mark.parametrize("command", OPTIONS)
def test_unknown_options(command):
    assert cli.misused(command, "--frobnicate") == f"snn {command}: unrecognized option '--frobnicate'"
    assert cli.misused(command, "-z") == f"snn {command}: invalid option -- 'z'"


@pytest.mark.parametrize("arguments,wanted", [
    (["convert"], "which ONNX file"), (["convert", "a.onnx"], "-o FILE"), (["convert", "a.onnx", "-o", "m", "--threshold", "max"], "--data"),
    (["convert", "a.onnx", "b.onnx"], "'b.onnx' is a second one"), (["convert", "-o", "m", "--data", "d"], "which ONNX"),
    (["inspect"], "which model"), (["inspect", "a", "b"], "'b' is a second one"),
    (["eval"], "which model"), (["eval", "a"], "--data"), (["eval", "a", "b"], "'b' is a second one"),
    (["eval", "a", "--data", "d", "--json", "--csv"], "--json or --csv"),
    (["calibrate"], "which model"), (["calibrate", "m"], "-o FILE"), (["calibrate", "m", "-o", "c"], "which timesteps"),
    (["calibrate", "m", "-o", "c", "-T", "8"], "--data"), (["calibrate", "m", "-o", "c", "-T", "8", "--recommend", "8"], "--embed"),
    (["calibrate", "m", "n"], "'n' is a second one"),
    (["classify"], "at least one PNG"), (["classify", "a"], "at least one PNG"),
    (["bench"], "which model"), (["bench", "a", "b"], "'b' is a second one")])
def test_missing_and_superfluous_arguments(arguments, wanted):
    line = cli.misused(*arguments)
    assert line.startswith(f"snn {arguments[0]}: ") and wanted in line


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["inspect", "MODEL"], ["inspect", "MODEL", "--json"],
                                       ["eval", "MODEL", "--data", "DATA", "--csv", "-T", "1"],
                                       ["eval", "MODEL", "--data", "DATA", "-T", "1"],
                                       ["classify", "MODEL", "PICTURE"]])
def test_an_answer_that_cannot_be_written_is_a_failure(small, arguments):
    places = {"MODEL": small / "model.safetensors", "DATA": small / "data", "PICTURE": small / "data" / "000.png"}
    with open("/dev/full", "w", encoding="ascii") as full:
        done = cli.run(*(places.get(a, a) for a in arguments), stdout=full)
    assert (done.returncode, done.stderr) == (1, "snn: cannot write the answer\n")
