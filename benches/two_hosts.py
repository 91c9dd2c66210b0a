"""Training on two hosts that a slow network joins: `sudo python benches/two_hosts.py`.

The hosts are network namespaces of this machine, joined by a pair of virtual devices whose rate a
token bucket limits. Ranks talk through torch.distributed's gloo, over TCP. Prints, for each rate
and way, seconds a step and the bytes that rank 0 sends in it; needs Linux, root, and torch.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).with_name("two_ranks.py")
HOSTS = {"fastgrad-a": "10.77.0.1", "fastgrad-b": "10.77.0.2"}
RATES = ["10gbit", "1gbit", "100mbit"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="W", choices=["W", "WL"])
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    try:
        join()
        for rate in RATES:
            limit(rate)
            for way in ("exact", "fast"):
                found = run(options.size, way, options.steps)
                print(
                    f"{options.size} {rate:>8} {way:6} {1e3 * found['seconds']:8.1f} ms a step,"
                    f" {found['bytes'] / 1e6:6.2f} MB from rank 0",
                    flush=True,
                )
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], check=False)


def join() -> None:
    """Make both hosts, and a cable between them."""
    first, second = HOSTS
    for host in HOSTS:
        ip("netns", "add", host)
    ip("link", "add", "cable", "netns", first, "type", "veth", "peer", "cable", "netns", second)
    for host, address in HOSTS.items():
        ip("-n", host, "addr", "add", f"{address}/24", "dev", "cable")
        for device in ("lo", "cable"):
            ip("-n", host, "link", "set", device, "up")


def limit(rate: str) -> None:
    """Limit what each host sends."""
    for host in HOSTS:
        bucket = ["rate", rate, "burst", "256kb", "latency", "50ms"]
        command = ["tc", "qdisc", "replace", "dev", "cable", "root", "tbf", *bucket]
        subprocess.run(["ip", "netns", "exec", host, *command], check=True)


def run(size: str, way: str, steps: int) -> dict[str, float]:
    place = f"{next(iter(HOSTS.values()))}:29600"
    running = [
        subprocess.Popen(
            ["ip", "netns", "exec", host, "env", "GLOO_SOCKET_IFNAME=cable", "OMP_NUM_THREADS=1",
             sys.executable, WORKER, size, way, str(steps), "--gloo", place, str(rank)],
            stdout=subprocess.PIPE, text=True,
        )
        for rank, host in enumerate(HOSTS)
    ]  # fmt: skip
    printed = [process.communicate(timeout=600)[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit("a rank has failed")
    return json.loads(printed[0].splitlines()[-1])


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    main()
