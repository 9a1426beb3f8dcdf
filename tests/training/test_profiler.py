"""Traces of a window of steps: written where TensorBoard looks, cut by resuming, and never a reason to stop."""

import re

import pytest
import tiny
from jax.profiler import ProfileData

from vivit_jax.errors import UserError
from vivit_jax.runs.plan import Plan
from vivit_jax.runs.profiler import Profiler

FLAGS = ("--config.training.profile_steps=(8, 16)", "--config.data.val_split=None", "--config.data.test_split=None")


def traced_steps(workdir):
    """Numbers of the steps in each trace, by folder."""
    found = []
    for path in sorted(workdir.glob("plugins/profile/*/*.xplane.pb")):
        assert path.with_name(path.name.replace(".xplane.pb", ".trace.json.gz")).stat().st_size
        events = (event for plane in ProfileData.from_file(str(path)).planes for line in plane.lines for event in line.events)
        found.append(sorted(dict(event.stats)["step_num"] for event in events if event.name == "train"))
    return found


@pytest.mark.slow
def test_a_window_is_traced_and_a_run_that_resumes_inside_it_traces_the_rest_but_not_its_compilation(start, tmp_path):
    workdir = tmp_path / "run"
    interrupted = start(workdir, *FLAGS, TINY_TERMINATE_AT="12")  # batches are drawn ahead: in the window
    assert interrupted.wait() == 143, interrupted.output()
    step = int(re.search(r"interrupted after step (\d+) of 20", interrupted.output()).group(1))
    assert 8 <= step < 14
    assert traced_steps(workdir) == [list(range(8, step + 1))]
    resumed = start(workdir, *FLAGS)
    assert resumed.wait() == 0, resumed.output()
    assert traced_steps(workdir)[-1] == list(range(step + 2, 17))
    assert f"profile of steps {step + 2} to 16: tensorboard --logdir {workdir}" in resumed.output()


def test_a_run_past_the_window_says_that_nothing_is_traced(tmp_path, capsys):
    profiler = Profiler((3, 5), tmp_path, done=5)
    assert not any(profiler.begins(step) for step in range(20))
    assert "nothing is profiled: the run is at step 5, training.profile_steps end at 5" in capsys.readouterr().out
    assert not any(Profiler(None, tmp_path, done=0).begins(step) for step in range(20))
    assert not capsys.readouterr().out


def test_a_trace_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    (tmp_path / "plugins").write_text("in the way")
    profiler, second = (Profiler((1, 1), tmp_path, done=0) for _ in range(2))
    profiler.start()
    second.start()  # there is one trace at a time
    assert "steps are not profiled, training continues" in capsys.readouterr().out
    profiler.stop()
    second.stop()
    assert "the profile is not written, training continues" in capsys.readouterr().out


@pytest.mark.parametrize("window", [(0, 3), (5, 4), (19, 21)])
def test_a_window_that_no_step_is_in_is_refused(window):
    with pytest.raises(UserError, match=r"training\.profile_steps"):
        Plan.of(tiny.experiment(training={"profile_steps": window}), examples=64)
