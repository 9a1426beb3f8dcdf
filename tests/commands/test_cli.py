"""The frame of `vivit`: exit codes, one-line errors, help, start-up."""

import importlib
import os
import pathlib
import resource
import signal
import subprocess
import sys

import pytest
from rich.table import Table

from vivit_jax import cli, console
from vivit_jax.errors import UserError


def stub(monkeypatch, action):
    """A command `stub` that does `action`."""
    module = type(sys)("stub_command")
    module.__doc__ = "Does as it is told."
    module.add_arguments = lambda parser: parser.add_argument("--top_k", type=int)
    module.run = action
    monkeypatch.setitem(sys.modules, "stub_command", module)
    monkeypatch.setitem(cli.COMMANDS, "stub", ("stub_command", "does as it is told"))


def failing(error):
    def run(arguments):
        raise error

    return run


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself_with_an_example(name, vivit):
    code, out, err = vivit(name, "--help")
    assert (code, err) == (0, "")
    if name != "train":
        assert f"usage: vivit {name}" in out
        assert importlib.import_module(cli.COMMANDS[name][0]).__doc__.splitlines()[0] in " ".join(out.split())
    assert name in out.split("Example:")[1]


def test_help_lists_every_command(vivit):
    for argv in ((), ("--help",)):
        code, out, _ = vivit(*argv)
        assert code == 0
        assert all(f"  {name} " in out for name in cli.COMMANDS)


def test_an_unknown_command_names_the_nearest(vivit):
    code, out, err = vivit("evalute")
    assert (code, out) == (2, "")
    assert err.startswith("vivit: unknown command 'evalute': did you mean 'evaluate'?")
    assert err.count("\n") == 1


def test_an_unknown_option_names_the_nearest(monkeypatch, vivit):
    stub(monkeypatch, print)
    code, _, err = vivit("stub", "--topk", "3")
    assert (code, err) == (2, "vivit: unrecognized arguments: --topk 3: did you mean --top_k? (see vivit stub --help)\n")


def test_a_file_that_looks_like_an_option_is_told_how_to_be_given(monkeypatch, vivit, tmp_path):
    stub(monkeypatch, print)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-a.mp4").touch()
    code, _, err = vivit("stub", "-a.mp4")
    assert (code, err) == (
        2,
        "vivit: unrecognized arguments: -a.mp4: for a file whose name begins with -, write ./-a.mp4 (see vivit stub --help)\n",
    )
    (tmp_path / "a.mp4").touch()
    code, _, err = vivit("stub", "a.mp4")
    assert (code, err) == (2, "vivit: unrecognized arguments: a.mp4 (see vivit stub --help)\n")


def test_a_missing_option_is_one_line(vivit):
    code, _, err = vivit("predict", "clip.mp4")
    assert (code, err) == (2, "vivit: the following arguments are required: --model (see vivit predict --help)\n")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("clip.mp4 is no video"), 2, "vivit: clip.mp4 is no video\n"),
        (KeyboardInterrupt(), 130, "vivit: interrupted\n"),
        (OSError(28, "No space left on device"), 1, "vivit: No space left on device\n"),
        (
            MemoryError("Unable to allocate 7 GiB"),
            1,
            "vivit: this machine, or the limit of this process (ulimit -v), has too little memory (Unable to allocate 7 GiB): give it "
            "more, or ask for less at once (smaller batches, fewer views)\n",
        ),
    ],
)
def test_failures_are_one_line_and_an_exit_code(error, code, line, monkeypatch, vivit):
    stub(monkeypatch, failing(error))
    assert vivit("stub") == (code, "", line)


def test_a_bug_keeps_its_traceback(monkeypatch):
    stub(monkeypatch, failing(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["stub"])


def test_help_starts_without_jax_in_well_under_a_second():
    command = [sys.executable, "-X", "importtime", "-m", "vivit_jax", "--help"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime  # of CPU time: the clock's depend on what else runs
    imported = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert not imported & {"jax", "flax", "tensorflow_datasets", "cv2", "matplotlib", "rich"}
    assert seconds < 1  # measured: 0.14 s


def test_a_closed_pipe_is_no_traceback():
    process = subprocess.Popen([sys.executable, "-m", "vivit_jax", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.wait()


def test_an_error_that_cannot_be_printed_keeps_its_exit_code():
    with pathlib.Path("/dev/full").open("w") as full:
        assert subprocess.run([sys.executable, "-m", "vivit_jax", "predikt"], stderr=full, check=False).returncode == 2


def test_control_c_ends_with_130():
    code = (  # a shell that starts tests in the background has them ignore Ctrl-C
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import sys, types, time; from vivit_jax import cli; m = types.ModuleType('slow'); m.__doc__ = 'Slow.';"
        "m.add_arguments = lambda p: None; m.run = lambda a: (print('on', flush=True), time.sleep(60));"
        "sys.modules['slow'] = m; cli.COMMANDS['slow'] = ('slow', ''); sys.exit(cli.main(['slow']))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"on\n"
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"vivit: interrupted\n")


def test_prose_of_help_fits_the_terminal_and_examples_stay_as_they_are(vivit, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = vivit("predict", "--help")
    examples = [line for line in out.splitlines() if line.startswith("  vivit predict")]
    assert max(map(len, examples)) > 80  # a command is not broken, so that it can be pasted
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("  "))


def test_a_narrow_table_cuts_no_name(capsys):
    table = Table("class", "hits")
    names = ["unscrewing" * 9 + end for end in ("bottles", "jars")]
    for name in names:
        table.add_row(name, "1")
    console.show(table, file_width=30)
    printed = "".join(character for character in capsys.readouterr().out if character.islower())
    assert all(name in printed for name in names)
