"""Predict the speed of training on many ranks from one rank's measured step and network figures.

`python benches/rank_model.py W 0.0428` prints a Markdown table for a step of 42.8 ms on one thread;
every rank is one thread. The model:

    exact   the forward and backward pass of the output layer goes through R ranks in G groups:
            G·max(c, t) + (R - 1)·(c + t), with c the computing of a group on one rank and t the
            time of its message; then a broadcast, the update of 1/R of the rows, and all that every
            rank computes by itself
    fast    1/R of the work, and a ring allreduce of all gradients, none of it hidden
"""

import argparse
import math

from nplm import SIZES, Size

# Bits a second, and seconds that a message takes, as vendors and MPI benchmarks publish them.
NETWORKS = {
    "1 Gb Ethernet": (1e9, 50e-6),
    "10 Gb Ethernet": (10e9, 20e-6),
    "InfiniBand HDR": (200e9, 1.5e-6),
}
MICRO_BATCH, GROUPS = 32, 16
RANKS = [2, 4, 8, 16, 32, 64]


def exact(size: Size, alone: float, ranks: int, bits: float, latency: float) -> float:
    """Return the seconds of a step with the bits of one process."""
    inputs = size.context * size.features
    output, hidden = size.vocabulary * size.hidden, size.hidden * inputs
    replicated = alone * hidden / (hidden + output)
    shared = alone - replicated
    groups = min(GROUPS, math.ceil(size.batch / MICRO_BATCH))
    computing = shared * 2 / 3 / ranks / groups
    sent = 4 * size.batch * (2 * size.hidden + 3)
    message = latency + 8 * sent / groups / bits
    through = groups * max(computing, message) + (ranks - 1) * (computing + message)
    rounds = math.ceil(math.log2(ranks))
    told = rounds * (latency + 8 * 4 * size.batch * (size.hidden + 3) / bits) + 2 * rounds * latency
    return through + told + shared / 3 / ranks + replicated


def fast(size: Size, alone: float, ranks: int, bits: float, latency: float) -> float:
    """Return the seconds of a step whose gradients are added up in any order."""
    inputs = size.context * size.features
    numbers = size.vocabulary * (size.hidden + 1) + size.hidden * (inputs + 1)
    numbers += size.batch * inputs
    ring = 2 * (ranks - 1) * (latency + 8 * 4 * numbers / ranks / bits)
    return alone / ranks + ring


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("seconds", type=float, help="a step on one thread")
    options = parser.parse_args()
    size, alone = SIZES[options.size], options.seconds
    print(f"| {options.size}: times as fast as one rank | {' | '.join(map(str, RANKS))} |")
    print("| --- |" + " ---: |" * len(RANKS))
    for network, (bits, latency) in NETWORKS.items():
        for name, model in (("exact", exact), ("fast", fast)):
            cells = [f"{alone / model(size, alone, n, bits, latency):.1f}" for n in RANKS]
            print(f"| {network}, {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
