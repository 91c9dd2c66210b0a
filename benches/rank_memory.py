"""Memory of ranks that share an output layer: `python benches/rank_memory.py`.

Trains networks over 200,000 words with AdamW, on 1, 2 and 4 ranks of MPI, with all of the output
layer on each rank and with a shard of it, and prints the peak resident memory of each rank: that of
training alone, without what Python and its modules take.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

WORDS = 200_000
HIDDEN = 100
RUNS = [("whole", 1), ("whole", 2), ("sharded", 1), ("sharded", 2), ("sharded", 4)]
# The length of embeddings, and whether they are the output layer's weights too.
NETWORKS = {"U of its own": (30, False), "tied": (100, True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--worker", nargs=3, metavar=("NETWORK", "OUTPUT", "FILE"))
    options = parser.parse_args()
    if options.worker:
        work(*options.worker)
        return
    for network in NETWORKS:
        for output_layer, ranks in RUNS:
            peaks = ", ".join(f"{peak / 1e6:,.0f}" for peak in run(network, output_layer, ranks))
            print(f"{network:12} {output_layer:7} {ranks} ranks: {peaks} MB", flush=True)


def run(network: str, output_layer: str, ranks: int) -> list[int]:
    """Return the peak of each rank."""
    mpiexec = Path(sys.executable).with_name("mpiexec")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(mpiexec, "-n", ranks, sys.executable, "-m", "mpi4py", __file__),
            *("--worker", network, output_layer, Path(folder, "run")),
        ]
        done = subprocess.run(
            [*map(str, command)], check=True, capture_output=True, text=True,
            env={**os.environ, "FASTGRAD_NUM_THREADS": "1"},
        )  # fmt: skip
    return sorted(map(int, done.stdout.split()), reverse=True)


def work(network: str, output_layer: str, file: str) -> None:
    """Train some steps; print the peak of this rank."""
    import numpy as np
    from fastgrad.models import WordNPLM
    from fastgrad.text import WordText, WordVocab
    from mpi4py import MPI

    vocab = WordVocab([f"w{number}" for number in range(WORDS)])
    ids = np.random.default_rng(1).integers(0, WORDS, 4000, np.uint32)
    train, dev = WordText(vocab, ids).split(0.9)
    embedding_dim, is_tied = NETWORKS[network]
    model = WordNPLM(
        context_length=4, embedding_dim=embedding_dim, hidden_dim=HIDDEN, tie_weights=is_tied
    )
    before = peak()
    model.fit(
        train, dev, steps=9, evaluate_every=3, optimizer="adamw", lr=1e-3, patience=3,
        checkpoint=file, comm=MPI.COMM_WORLD, output_layer=output_layer,
    )  # fmt: skip
    sys.stdout.write(f"{peak() - before}\n")


def peak() -> int:
    """Return the largest memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
