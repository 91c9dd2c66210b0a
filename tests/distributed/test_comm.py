"""Messages between ranks, over each engine that is installed."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from fastgrad.distributed import Comm, SelfComm, as_comm
from ranks import NEEDS_MPI, run_code

# Each rank goes through all of this; what is wrong raises, and ends the job.
SCRIPT = """
import numpy as np

def check(comm):
    rank, size = comm.rank, comm.size
    assert 0 <= rank < size
    for dtype in ("f4", "f8", "i4", "i8", "u4", "u8", "u1"):
        total = np.arange(6, dtype=dtype).reshape(2, 3) + np.array(rank, dtype)
        comm.allreduce(total)
        ranks = size * (size - 1) // 2
        assert (total == np.arange(6).reshape(2, 3) * size + ranks).all(), (dtype, total)
        assert total.dtype == dtype
    largest = np.array([2**64 - 1 if rank == 0 else 0], "u8")
    comm.allreduce(largest)
    assert largest.tolist() == [2**64 - 1]
    for empty in (np.zeros(0), np.zeros((0, 3), "i8")):
        comm.allreduce(empty)
        comm.broadcast(empty)
    scalar = np.array(1.5)
    comm.allreduce(scalar)
    assert scalar == 1.5 * size
    for root in range(size):
        told = np.full((2, 2), rank, "u2")
        told.flags.writeable = rank != root
        comm.broadcast(told, root)
        assert (told == root).all()
        parts = comm.gather(np.full((rank, 2), rank, "i4"), root)
        assert (parts is not None) == (rank == root)
        for number, part in enumerate(parts or []):
            assert part.shape == (number, 2) and part.dtype == "i4" and (part == number).all()
        assert comm.broadcast_object({"rank": rank}, root) == {"rank": root}
    # Every rank sends to every one, itself included, much more than a socket holds, before any
    # receives; what was sent may be changed.
    for turn in range(3):
        for to in range(size):
            if to != rank:
                message = np.full(300_000, 10 * rank + turn, "f4")
                comm.send(message, to)
                message[:] = -1
    for source in range(size):
        if source != rank:
            for turn in range(3):
                found = np.empty(300_000, "f4")
                comm.receive(found, source)
                assert (found == 10 * source + turn).all()
    if size > 1:
        if rank == 0:
            comm.send(np.ones(3), 1)
        if rank == 1:
            try:
                comm.receive(np.ones(4), 0)
            except ValueError as error:
                assert "array has 32 bytes" in str(error)
            else:
                assert not checks_sizes
    everything = comm.gather(np.array([rank]))
    if rank == 0:
        print("ranks", [int(one[0]) for one in everything])
"""
WITH_MPI = f"""{SCRIPT}
from mpi4py import MPI
from fastgrad.distributed import as_comm, Comm
checks_sizes = True
assert isinstance(as_comm(MPI.COMM_WORLD), Comm)
check(as_comm(MPI.COMM_WORLD))
halves = MPI.COMM_WORLD.Split(MPI.COMM_WORLD.rank % 2)
check(as_comm(halves))
"""
WITH_TORCH = f"""{SCRIPT}
import sys
import torch.distributed as dist
from fastgrad.distributed import as_comm
checks_sizes = False
rank, size, place = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{{place}}", rank=rank, world_size=size)
check(as_comm(dist))
if size == 3:
    group = dist.new_group([1, 2])
    if rank:
        check(as_comm(group))
dist.destroy_process_group()
"""


@NEEDS_MPI
@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 4])
def test_arrays_travel_over_mpi(size):
    assert f"ranks {list(range(size))}" in run_code(size, WITH_MPI)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("size", [1, 3])
def test_arrays_travel_over_torch(size, tmp_path):
    command = [sys.executable, "-I", "-c", WITH_TORCH]
    ranks = [
        subprocess.Popen([*command, str(rank), str(size), str(tmp_path / "store")])
        for rank in range(size)
    ]
    try:
        assert [rank.wait(timeout=120) for rank in ranks] == [0] * size
    finally:
        for rank in ranks:
            rank.kill()


def test_arrays_travel_within_one_process():
    checked = {"checks_sizes": True}
    exec(SCRIPT, checked)
    checked["check"](as_comm(None))


def test_what_a_process_sends_to_itself_arrives_in_order():
    comm = SelfComm()
    comm.send(np.array([1, 2]), 0)
    comm.send(np.array([3.0]), 0)
    first, second = np.zeros(2, int), np.zeros(1)
    comm.receive(first, 0)
    with pytest.raises(ValueError, match="array has 16 bytes"):
        comm.receive(first, 0)
    comm.receive(second, 0)
    assert first.tolist() == [1, 2]
    assert second.tolist() == [3.0]
    with pytest.raises(ValueError, match="nothing was sent"):
        comm.receive(first, 0)


@NEEDS_MPI
@pytest.mark.slow
def test_abort_ends_all_ranks_with_the_status():
    run_code(
        3,
        """
import time
from fastgrad.distributed import mpi_world
world = mpi_world()
if world.rank == 1:
    world.abort(7)
time.sleep(100)
""",
        status=7,
    )


@NEEDS_MPI
@pytest.mark.slow
def test_a_process_without_mpiexec_is_a_world_of_its_own():
    code = "from fastgrad.distributed import mpi_world; print(mpi_world().rank, mpi_world().size)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, timeout=60)
    assert done.stdout.split() == [b"0", b"1"]


class Own:
    """A user's own engine: all methods of a `Comm`, nothing else."""

    def __init__(self, rank=0, size=1):
        self.rank, self.size = rank, size

    def allreduce(self, array):
        """Do nothing, like all the others."""

    broadcast = gather = send = receive = broadcast_object = abort = allreduce


def test_an_object_that_keeps_the_protocol_is_taken_as_it_is():
    own = Own()
    assert as_comm(own) is own
    assert isinstance(own, Comm)


@pytest.mark.parametrize("wrong", ["world", 3, object(), Own, [0, 1], np.zeros(3)])
def test_what_is_no_comm_is_refused(wrong):
    with pytest.raises(TypeError, match=r"comm is .*expected a communicator of mpi4py"):
        as_comm(wrong)


def test_a_rank_outside_of_its_group_is_refused():
    with pytest.raises(ValueError, match=r"comm\.rank is 2; expected at most 1"):
        as_comm(Own(2, 2))
    with pytest.raises(ValueError, match=r"comm\.size is 0"):
        as_comm(Own(0, 0))
    with pytest.raises(TypeError, match=r"comm\.size is 'two'"):
        as_comm(Own(0, "two"))


def test_wrong_arrays_and_ranks_are_refused():
    comm = SelfComm()
    with pytest.raises(TypeError, match="array is"):
        comm.allreduce([1.0])
    with pytest.raises(TypeError, match="array has dtype object"):
        comm.send(np.array([None]), 0)
    with pytest.raises(ValueError, match="array is not C-contiguous"):
        comm.broadcast(np.zeros((3, 3)).T[1:])
    kept = np.zeros(3)
    kept.flags.writeable = False
    with pytest.raises(ValueError, match="array is read-only"):
        comm.allreduce(kept)
    with pytest.raises(ValueError, match="to is 1; expected at most 0"):
        comm.send(kept, 1)
    with pytest.raises(ValueError, match="root is 1; expected at most 0"):
        comm.gather(kept, 1)
    with pytest.raises(TypeError, match="source is 'a'"):
        comm.receive(np.zeros(3), "a")


def test_no_engine_is_imported_until_it_is_used():
    code = "import sys, fastgrad.distributed as d; d.as_comm(None)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert not {"mpi4py", "torch", "fastgrad._core"} & set(done.stdout.split())
