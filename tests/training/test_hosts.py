"""Which environments are joined with others, which are not, and what is said where jax cannot."""

import importlib.util
import os
import socket
import subprocess
import sys

import pytest
from processes import free_port

from vivit_jax.errors import UserError
from vivit_jax.training.devices import hosts

SBATCH = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
SRUN = SBATCH | {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
MPIRUN = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}
MPIRUN_4 = MPIRUN | {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911"}
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
INDEXED_POD = POD | {"JOB_COMPLETION_INDEX": "0"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (SRUN, "Slurm"),
        (SRUN | {"SLURM_NTASKS": "1"}, None),
        (SBATCH, None),  # the batch script itself: one process, though the job has four tasks
        ({"SLURM_NTASKS": "4"}, None),  # within salloc
        (MPIRUN_4, "Open MPI"),
        (MPIRUN | {"OMPI_COMM_WORLD_SIZE": "1"}, None),
        (INDEXED_POD, "Kubernetes"),
        (POD, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "0"}, "a TPU slice"),
        ({"TPU_PROCESS_ADDRESSES": "a:1,b:1", "TPU_WORKER_ID": "0"}, "a TPU slice"),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        (INDEXED_POD | {"TPU_WORKER_HOSTNAMES": "a,b"}, "a TPU slice"),  # a TPU slice of Google's Kubernetes, which jax finds first
    ],
)
def test_several_processes_are_told_from_one(monkeypatch, environment, expected):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "kubernetes" or None)
    assert hosts.launcher_in(environment) == expected


@pytest.mark.parametrize(("chip", "library"), [(True, True), (True, False), (False, True)])
def test_a_machine_with_tpus_asks_for_the_others(monkeypatch, tmp_path, chip, library):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: library or None)
    monkeypatch.setattr(hosts, "TPU_CHIPS", (str(tmp_path if chip else tmp_path / "none"),))
    assert hosts.launcher_in({}) == ("a TPU slice" if chip and library else None)
    assert hosts.launcher_in({"JAX_PLATFORMS": "cpu"}) is None
    assert hosts.launcher_in({"TPU_SKIP_MDS_QUERY": "1"}) is None


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (MPIRUN, "mpirun started 2 processes, but does not say where the first one listens: give --coordinator=HOST:PORT"),
        (INDEXED_POD, "pip install 'jax[k8s]'"),
    ],
)
def test_others_that_cannot_be_found_are_an_error_not_a_run_alone(monkeypatch, environment, told):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        hosts.launcher_in(environment)
    assert told in str(error.value)


@pytest.mark.parametrize("flags", [("here:1", None, None), ("here:1", 2, None), (None, 2, 0), (None, None, 1)])
def test_flags_go_together(flags):
    with pytest.raises(UserError, match="--coordinator, --processes and --process go together"):
        hosts.join(*flags)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("host0", 2, 0), "--coordinator must be HOST:PORT of the first process, such as host0:1234, got host0"),
        (("host0:port", 2, 1), "must be HOST:PORT"),
        (("host0:1234", 2, 2), "--process counts from 0 and must be below --processes=2, got 2"),
    ],
)
def test_flags_that_cannot_be_right_are_refused_before_anything_is_joined(flags, told):
    with pytest.raises(UserError, match=told):
        hosts.join(*flags)


def test_a_first_process_that_never_answers_is_an_error_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(hosts, "PATIENCE", 0.8)
    monkeypatch.setattr(hosts, "SILENCE", 0.1)
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UserError, match=rf"no process answers at localhost:{port} \(Connection refused\): start --process=0 there"):
        hosts.join(f"localhost:{port}", 2, 1)
    assert f"waiting for --process=0 at localhost:{port}" in capsys.readouterr().out


def test_one_process_by_flag_joins_nobody(monkeypatch):
    monkeypatch.setattr(os, "environ", MPIRUN)
    hosts.join(None, 1, None)


JOIN = """
import jax
from vivit_jax.training.devices.hosts import join
join(None, None, None)
print(jax.process_index(), jax.process_count())
"""


def test_jax_joins_what_was_found():
    """Two processes with the environment that Open MPI gives them meet through jax's own detection."""
    meeting = {
        "OMPI_MCA_orte_hnp_uri": "4096.0;tcp://127.0.0.1:1",
        "JAX_COORDINATOR_PORT": str(free_port()),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", JOIN],
            env=os.environ | meeting | MPIRUN | {"OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    assert sorted(process.communicate(timeout=300)[0].strip() for process in processes) == ["0 2", "1 2"]


def test_what_jax_says_when_it_cannot_is_one_line(monkeypatch):
    monkeypatch.setattr(hosts, "launcher_in", lambda environment: "Kubernetes")  # where jax finds none
    with pytest.raises(UserError, match=r"cannot join the other processes \(Kubernetes\): .*; give --coordinator"):
        hosts.join(None, None, None)
