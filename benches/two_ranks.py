"""A training step of the NPLM on two ranks of one thread, beside one process of two threads.

Each sample starts its processes, `mpiexec -n 2 python benches/two_ranks.py SIZE WAY STEPS`: WAY
is exact, fast or torch; without mpiexec WAY is alone. The last line printed is JSON: seconds a
step, and the bytes that rank 0 sent in a step. With `--gloo HOST:PORT RANK` two processes, of two
hosts or of two network namespaces, use torch.distributed's gloo in place of MPI, and print what
messages take too.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
from time import perf_counter
from typing import Any

from engines import FASTGRAD, find
from measure import Row, Settings, Side, alternate, note
from nplm import RATE, SIZES, Size, Start

SIZES_SHARED = {"W": 200, "WL": 8}  # and how many steps a sample takes
NAMES = {
    "alone": FASTGRAD.name,
    "exact": "fastgrad, 2 ranks, exact",
    "fast": "fastgrad, 2 ranks, fast",
    "torch": "torch, DistributedDataParallel",
}


def ranks(settings: Settings) -> list[Row]:
    """Measure both sizes of words."""
    return [row for name in SIZES_SHARED for row in rows(name, settings)]


def rows(name: str, settings: Settings) -> list[Row]:
    case, bytes_case = f"size {name}, two cores", f"size {name}, MB that rank 0 sends"
    if not find("mpi4py"):
        return [Row("ranks", case, "ms", {FASTGRAD.name: note("mpi4py is not installed")})]
    sent: dict[str, float] = {}
    ways = ["alone", "exact", "fast", *(["torch"] if find("torch") else [])]
    sides = [Side(NAMES[way], lambda _, way=way: run(name, way, sent)) for way in ways]
    cells = alternate(sides, 1 if settings.quick else 2, 1e3)
    in_mb = {
        NAMES[way]: {"median": mb, "low": mb, "high": mb, "repeats": 1} for way, mb in sent.items()
    }
    return [Row("ranks", case, "ms", cells), Row("ranks", bytes_case, "MB", in_mb)]


def run(name: str, way: str, sent: dict[str, float]) -> float:
    """Train in processes of their own; return the seconds of a step, and note the bytes."""
    command = [sys.executable, __file__, name, way, str(SIZES_SHARED[name])]
    if way != "alone":
        beside = pathlib.Path(sys.executable).parent / "mpiexec"
        command = [str(beside if beside.exists() else shutil.which("mpiexec")), "-n", "2", *command]
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | threads
    )
    found = json.loads(done.stdout.splitlines()[-1])
    if found["bytes"]:
        sent[way] = found["bytes"] / 1e6
    return found["seconds"]


class Counting:
    """A `fastgrad.distributed.Comm` that counts what it sends."""

    def __init__(self, comm: Any) -> None:
        self.comm, self.rank, self.size, self.bytes = comm, comm.rank, comm.size, 0

    def allreduce(self, array: Any) -> None:
        self.bytes += array.nbytes
        self.comm.allreduce(array)

    def broadcast(self, array: Any, root: int = 0) -> None:
        self.bytes += array.nbytes if self.rank == root else 0
        self.comm.broadcast(array, root)

    def gather(self, array: Any, root: int = 0) -> Any:
        return self.comm.gather(array, root)

    def send(self, array: Any, to: int) -> None:
        self.bytes += array.nbytes
        self.comm.send(array, to)

    def receive(self, array: Any, source: int) -> None:
        self.comm.receive(array, source)

    def broadcast_object(self, value: Any, root: int = 0) -> Any:
        return self.comm.broadcast_object(value, root)

    def abort(self, status: int) -> None:
        self.comm.abort(status)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("size", choices=SIZES_SHARED)
    parser.add_argument("way", choices=NAMES)
    parser.add_argument("steps", type=int)
    parser.add_argument("--threads", type=int, help="of each process; 2 for alone, 1 for others")
    parser.add_argument("--gloo", nargs=2, metavar=("HOST:PORT", "RANK"))
    options = parser.parse_args()
    comm, network = None, {}
    if options.gloo:
        comm = gloo(*options.gloo)
        network = measure_network(comm)
    elif options.way != "alone":
        from fastgrad.distributed import mpi_world

        comm = mpi_world()
    if options.way == "torch":
        seconds, sent = train_torch(SIZES[options.size], options.steps)
    else:
        threads = options.threads or (2 if options.way == "alone" else 1)
        seconds, sent = train(SIZES[options.size], options.way, options.steps, comm, threads)
    if comm is None or comm.rank == 0:
        print(json.dumps({"seconds": seconds, "bytes": sent, **network}))


def gloo(place: str, rank: str) -> Any:
    from fastgrad.distributed import as_comm
    from torch import distributed

    distributed.init_process_group(
        "gloo", init_method=f"tcp://{place}", rank=int(rank), world_size=2
    )
    return as_comm(distributed)


def measure_network(comm: Any) -> dict[str, float]:
    """Return the seconds of a small message one way, and the bits a second of large ones."""
    import numpy as np

    def one_way(numbers: int, turns: int) -> float:
        array, taken = np.zeros(numbers), []
        for _ in range(turns):
            begin = perf_counter()
            if comm.rank == 0:
                comm.send(array, 1)
            comm.receive(array, 1 - comm.rank)
            if comm.rank == 1:
                comm.send(array, 0)
            taken.append((perf_counter() - begin) / 2)
        return sorted(taken)[turns // 2]

    latency, large = one_way(1, 50), 1_000_000
    return {"latency": latency, "bits": 64 * large / max(one_way(large, 5) - latency, 1e-9)}


def train(size: Size, way: str, steps: int, comm: Any, threads: int) -> tuple[float, float]:
    from fastgrad.models import WordNPLM
    from fastgrad.text import WordVocab

    start = Start(size)
    vocab = WordVocab([f"w{number}" for number in range(size.vocabulary)])
    model = WordNPLM(
        vocab=vocab,
        context_length=size.context,
        embedding_dim=size.features,
        hidden_dim=size.hidden,
        tie_weights=False,
    )
    speeds = []
    counting = None if comm is None else Counting(comm)
    model.fit(
        (start.inputs, start.targets),
        steps=steps,
        batch_size=size.batch,
        lr=RATE,
        evaluate_every=steps,
        callbacks=[lambda progress: speeds.append(progress.examples_per_second)],
        comm=counting,
        reduction="fast" if way == "fast" else "exact",
        threads=threads,
    )
    seconds = size.batch / speeds[0] if speeds else 0.0
    return seconds, 0 if counting is None else counting.bytes / steps


def train_torch(size: Size, steps: int) -> tuple[float, float]:
    import numpy as np
    import torch
    from fastgrad.distributed import mpi_world
    from torch import distributed, nn

    world = mpi_world()
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method="tcp://127.0.0.1:29511", rank=world.rank, world_size=2
    )
    start = Start(size)
    model = nn.Sequential(
        nn.Embedding(size.vocabulary, size.features),
        nn.Flatten(),
        nn.Linear(size.context * size.features, size.hidden),
        nn.Tanh(),
        nn.Linear(size.hidden, size.vocabulary),
    )
    model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    inputs = torch.from_numpy(start.inputs.astype("int64"))
    targets = torch.from_numpy(start.targets.astype("int64"))
    draw = np.random.default_rng(world.rank)

    def step() -> None:
        numbers = torch.from_numpy(draw.integers(len(targets), size=size.batch // 2))
        loss = nn.functional.cross_entropy(model(inputs[numbers]), targets[numbers])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    begin = perf_counter()
    for _ in range(steps):
        step()
    seconds = (perf_counter() - begin) / steps
    sent = 4 * sum(parameter.numel() for parameter in model.parameters())
    distributed.destroy_process_group()
    return seconds, sent


if __name__ == "__main__":
    main()
