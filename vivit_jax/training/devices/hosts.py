"""Joining the other processes of a run: found as jax finds them, or given by flags."""

import importlib.util
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np
from jax.experimental import multihost_utils

from vivit_jax import console
from vivit_jax.errors import UserError, in_one_line

Environment = Mapping[str, str]

FLAGS = "give --coordinator=HOST:PORT --processes=N --process=I to each of them"
ALONE = "--processes=1 to run alone"

PATIENCE = 300.0  # seconds that processes wait for each other, as in jax
SILENCE = 10.0  # seconds after which a process that waits says so

TPU_CHIPS = ("/dev/accel0", "/dev/vfio/0")


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Joins the other processes, where there are any. Call it before jax looks at its devices.

    Args:
      coordinator: HOST:PORT of the first process; None leaves it to jax, where the environment is one that it knows.
      processes: how many there are; 1 without a coordinator says that there are no others, whatever the environment.
      process: which of them this is.

    Raises:
      UserError: when flags are missing, or the others cannot be found or reached.
    """
    if jax.distributed.is_initialized() or (processes == 1 and not coordinator):
        return
    if coordinator or processes or process is not None:
        if not coordinator or processes is None or process is None:
            raise UserError(f"--coordinator, --processes and --process go together: {FLAGS}")
        if not 0 <= process < processes:
            raise UserError(f"--process counts from 0 and must be below --processes={processes}, got {process}")
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise UserError(f"--coordinator must be HOST:PORT of the first process, such as host0:1234, got {coordinator}")
        if process:
            _wait_for(host.strip("[]"), int(port))
        _initialise("--coordinator", coordinator, processes, process)
    elif name := launcher_in(os.environ):
        _initialise(name)


def of_first_host(decide: Callable[[], int]) -> int:
    """The first host's decision, on every host."""
    decision = decide() if jax.process_index() == 0 else 0
    if jax.process_count() == 1:
        return decision
    return int(multihost_utils.broadcast_one_to_all(np.asarray(decision)))


def launcher_in(environment: Environment) -> str | None:
    """The name of what started this process as one of several; None for a process of its own.

    Asks for what jax's own detection asks for, and that there be more than one process: within `sbatch` or `salloc`, but not under `srun`,
    there is one, whatever the job's number of tasks.

    Raises:
      UserError: where there are others that jax cannot find.
    """
    return next((name for name, started in LAUNCHERS.items() if started(environment)), None)


def _under_slurm(environment: Environment) -> bool:
    needed = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID")
    return _several(environment, "SLURM_NTASKS") and all(name in environment for name in needed)


def _under_open_mpi(environment: Environment) -> bool:
    if not _several(environment, "OMPI_COMM_WORLD_SIZE"):
        return False
    if "OMPI_MCA_orte_hnp_uri" not in environment:  # Open MPI 5 no longer says where its processes meet
        raise UserError(
            f"mpirun started {environment['OMPI_COMM_WORLD_SIZE']} processes, but does not say where the first one listens: {FLAGS}"
        )
    return True


def _in_kubernetes(environment: Environment) -> bool:
    if "KUBERNETES_SERVICE_HOST" not in environment or "JOB_COMPLETION_INDEX" not in environment:  # a pod, but of no indexed job
        return False
    if importlib.util.find_spec("kubernetes") is None:
        raise UserError(f"this is an indexed job of Kubernetes: pip install 'jax[k8s]' to find its other pods, {FLAGS}, or {ALONE}")
    return True


def _on_a_tpu_slice(environment: Environment) -> bool:
    if "," in environment.get("TPU_PROCESS_ADDRESSES", environment.get("TPU_WORKER_HOSTNAMES", "")):
        return True
    # A virtual machine with TPUs, which asks its metadata server for the others.
    of_a_machine = "TPU_SKIP_MDS_QUERY" not in environment and "TPU_WORKER_HOSTNAMES" not in environment
    wanted = "tpu" in environment.get("JAX_PLATFORMS", "tpu")
    return of_a_machine and wanted and importlib.util.find_spec("libtpu") is not None and any(Path(chip).exists() for chip in TPU_CHIPS)


LAUNCHERS: dict[str, Callable[[Environment], bool]] = {
    "a TPU slice": _on_a_tpu_slice,
    "Slurm": _under_slurm,
    "Open MPI": _under_open_mpi,
    "Kubernetes": _in_kubernetes,
}


def _several(environment: Environment, name: str) -> bool:
    return environment.get(name, "1") not in ("", "1")


def _wait_for(host: str, port: int) -> None:
    """Waits until the first process listens; where it never does, jax itself would end this process with a trace of C++."""
    began, told = time.monotonic(), False
    while True:
        try:
            socket.create_connection((host, port), timeout=SILENCE).close()
        except OSError as error:
            waited = time.monotonic() - began
            if waited > PATIENCE:
                raise UserError(
                    f"no process answers at {host}:{port} ({in_one_line(error)}): start --process=0 there, and open its port"
                ) from None
            if waited > SILENCE and not told:
                console.say(f"waiting for --process=0 at {host}:{port} ({in_one_line(error)}) ...")
                told = True
            time.sleep(0.5)
        else:
            return


def _initialise(name: str, *given: str | int) -> None:
    try:
        jax.distributed.initialize(*given)
        if jax.process_index() != 0:
            console.mute()
    except Exception as error:  # of a socket, a Kubernetes API or a metadata server
        otherwise = f"; {FLAGS}, or {ALONE}" if not given else ""
        raise UserError(f"cannot join the other processes ({name}): {in_one_line(error)}{otherwise}") from error
