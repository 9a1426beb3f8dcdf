"""The table of `benchmarks/scaling.py`: what is linear, and a step that does not fit into memory."""

import json
import pathlib
import subprocess
import sys

import scaling


def bench(speed, seen):
    """In place of `vivit bench`, which wants GPUs: a report of `speed` by the number of GPUs, None where memory ran out."""

    def run(command, env, **_):
        batch_size = int(command[command.index("--batch_size") + 1])
        devices = len(env["CUDA_VISIBLE_DEVICES"].split(","))
        seen.append((env["CUDA_VISIBLE_DEVICES"], batch_size, "--config.parallel.fsdp" in command))
        row = {"mode": "train", "batch_size": batch_size, "clip": [1, 1, 1]}
        if speed[devices] is None:
            row |= {"error": "out of memory"}
        else:
            row |= {
                "devices": devices,
                "clips_per_second": speed[devices],
                "milliseconds": 1.0,
                "program_bytes": None,
                "compile_seconds": 1.0,
            }
        report = {"rows": [row], "ceiling": {}, "environment": {}}
        pathlib.Path(command[command.index("--json") + 1]).write_text(json.dumps(report))

    return run


def test_rows_are_held_against_one_gpu_and_memory_that_ran_out_ends_nothing(monkeypatch, tmp_path, capsys):
    seen = []
    monkeypatch.setattr(subprocess, "run", bench({1: 100.0, 2: 190.0, 4: None}, seen))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    arguments = ["--configs", "FILE.py:B", "--devices", "1", "2", "4", "--batch_size", "8", "--json", str(tmp_path / "scaling.json")]
    monkeypatch.setattr(sys, "argv", ["scaling.py", *arguments])
    scaling.main()
    assert seen == [("4", 8, False), ("4,5", 16, False), ("4,5", 16, True), ("4,5,6,7", 32, False), ("4,5,6,7", 32, True)]
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines[0] == "| B | 1 | data | 8 | 100.0 | 1.000 | 1.0 | - | 1 |"
    assert lines[2] == "| B | 2 | fsdp | 16 | 190.0 | 0.950 | 1.0 | - | 1 |"
    assert lines[3] == "| B | 4 | data | 32 | out of memory | - | - | - | - |"
    assert [row["of_linear"] for row in json.loads((tmp_path / "scaling.json").read_text())] == [1.0, 0.95, 0.95, None, None]
