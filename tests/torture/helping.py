"""What the programs of this folder share: how long they go on, and how they end."""

import os
import pathlib
import sys
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "reference"))


def turns(seconds):
    """Count 0, 1, 2, … until the time is over; at least once."""
    end, turn = time.monotonic() + float(seconds), 0
    while turn == 0 or time.monotonic() < end:
        yield turn
        turn += 1


def resident():
    """Bytes of memory that this process occupies."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def address_space():
    """Bytes of address space that this process has."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def leave(faults, told):
    """Print the faults and, as the last line, what was done; exit with 1 where there are faults."""
    for fault in faults:
        print("FAULT", fault)
    print(f"{told}, {len(faults)} faults", flush=True)
    sys.exit(1 if faults else 0)
