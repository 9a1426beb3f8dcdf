"""A reader's terminal: the commands of a page, and processes that run them as they are pasted.

Each command is a process of its own, forked from one that has imported the libraries once, which would take seconds for each. Lines with
the syntax of a shell go to bash.
"""

import dataclasses
import importlib
import json
import os
import pathlib
import re
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence

ROOT = pathlib.Path(__file__).parents[1]
FEW_PASSES = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # of the compiler: programs run once here
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:vivit|python|pip|pytest|git|docker|curl|ffmpeg|eval) .*|--config\..*")
FENCED = r"^ *```(\w*)\n(.*?)^ *```$"
BLOCK = re.compile(rf"{FENCED}|((?:^    [^\n]*\n)+)", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:[A-Z_]+=\S+\s)*(?:vivit|python|pip|pytest|curl)\s[^`]+)`")
SHELL = re.compile(r"[|<>;~]|\$\(|&&|\{\w+,")
LONGEST = 300  # seconds of a command; one that needs more is given smaller flags by its test, or a reason why it is not run
IMPORTED = "jax flax.linen optax orbax.checkpoint grain.python matplotlib.pyplot scipy.stats av cv2 vivit_jax.runs.train vivit_jax.cli"


def in_blocks(text: str) -> list[str]:
    """The commands in the code blocks of a page, each in one line without its comment; a line of `--config.` flags alone is one too."""
    found = []
    for language, fenced, indented in BLOCK.findall(text):
        lines = re.sub(r" *\\\n *", " ", fenced or indented).splitlines()
        found += [line for line in lines if language == "bash" or COMMAND.fullmatch(line.strip())]
    return [re.sub(r" +# .*$", "", line).strip() for line in found]


def in_sentences(text: str) -> list[str]:
    """What stands in backticks and begins as a command does: whole commands, and beginnings and patterns of some."""
    return [" ".join(words.split()) for words in INLINE.findall(BLOCK.sub("", text))]


@dataclasses.dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str


class Terminal:
    """Runs commands in folders; `close` ends the process that they are forked from."""

    def __init__(self, home: pathlib.Path, environment: dict[str, str]) -> None:
        """Opens it in the reader's home, whose `bin` has `vivit` and `python` for bash; programs are kept where the tests' own are."""
        import jax

        self.home = home
        for folder in ("bin", ".config/fish/completions"):
            (home / folder).mkdir(parents=True)
        for name, command in {"vivit": f"{sys.executable} -m vivit_jax", "python": sys.executable}.items():
            (home / "bin" / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (home / "bin" / name).chmod(0o755)
        self.environment = environment | {
            "HOME": str(home),
            "PATH": f"{home / 'bin'}:{environment['PATH']}",
            "PYTHONPATH": str(ROOT),
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": FEW_PASSES,  # and one device, as a reader has
        }
        if compiled := jax.config.jax_compilation_cache_dir:
            self.environment |= {
                "JAX_COMPILATION_CACHE_DIR": compiled,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
        pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen([sys.executable, __file__], text=True, env=self.environment, **pipe)

    def run(self, line: str, folder: pathlib.Path, extra: Sequence[str] = (), environment: dict[str, str] | None = None) -> Done:
        """Runs a line in a folder, with `extra` flags at its end and more in its environment."""
        told = self.environment | (environment or {})
        if SHELL.search(re.sub(r"'[^']*'|\"(?!\$\()[^\"]*\"", "", line)):
            command = ["bash", "-c", f"set -o pipefail; {line} {shlex.join(extra)}"]
            done = subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            return Done(done.returncode, done.stdout, done.stderr)
        words = [*shlex.split(line), *extra]
        while re.match(r"[A-Z_]+=", words[0]):
            name, _, value = words.pop(0).partition("=")
            told[name] = value
        written = [self.home / name for name in ("out", "err")]
        asked = {"words": words, "folder": str(folder), "environment": told, "written": [str(path) for path in written]}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the terminal has gone"
        return Done(int(answer), *(path.read_text(encoding="utf-8", errors="replace") for path in written))

    def close(self) -> None:
        """Ends it."""
        self._process.stdin.close()
        self._process.wait()


def _serve() -> None:
    """Forks a process for each line of standard input, and answers with its exit code."""
    from vivit_jax.quiet import silence_libraries

    silence_libraries()
    for name in IMPORTED.split():
        importlib.import_module(name)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(asked)
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(asked: dict) -> None:
    """Makes this process the one that was asked for, to its end, or until it has run too long."""
    signal.alarm(LONGEST)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    for number, path in enumerate([os.devnull, *asked["written"]]):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    first, *sys.argv = asked["words"]
    if first == "vivit":
        sys.argv = ["vivit", *sys.argv]
        from vivit_jax.__main__ import main

        raise SystemExit(main())
    if first != "python":
        raise SystemExit(f"a terminal of tests knows no {first}")
    if sys.argv[0] == "-c":
        exec(sys.argv[1], {"__name__": "__main__"})
        return
    sys.path.insert(0, str(pathlib.Path(sys.argv[0]).resolve().parent))
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _serve()
