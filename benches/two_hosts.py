"""Training on two hosts that a slow network joins: `sudo python benches/two_hosts.py`.

The hosts are network namespaces of this machine. A cable between them has the rate that a token
bucket allows, and a delay: this program carries each packet from host to host, and holds it back.
Ranks talk through torch.distributed's gloo, over TCP. Prints, for each network and way, the seconds
of a step, those that `rank_model.py` expects with the rate and delay that messages were measured to
have, and the bytes that rank 0 sends; needs Linux, root, and torch.
"""

import argparse
import fcntl
import json
import os
import queue
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import rank_model
from nplm import SIZES

WORKER = Path(__file__).with_name("two_ranks.py")
HOSTS = {"fastgrad-a": "10.77.0.1", "fastgrad-b": "10.77.0.2"}
NETWORKS = [("10gbit", 0.0), ("1gbit", 0.0), ("100mbit", 0.0), ("1gbit", 1e-3), ("1gbit", 5e-3)]
# Large packets, so that few have to be carried.
PACKET = 60_000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="W", choices=["W", "WL"])
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    size = SIZES[options.size]
    alone = run_alone(options.size, options.steps)
    print(f"{options.size} on one host, one thread: {1e3 * alone:.1f} ms a step", flush=True)
    for rate, delay in NETWORKS:
        try:
            join(delay)
            limit(rate)
            for way, model in (("exact", rank_model.exact), ("fast", rank_model.fast)):
                found = run(options.size, way, options.steps)
                expected = model(size, alone, 2, found["bits"], found["latency"])
                print(
                    f"{options.size} {rate:>8} {1e3 * delay:3.0f} ms {way:6}"
                    f" {1e3 * found['seconds']:7.1f} ms a step, expected {1e3 * expected:7.1f};"
                    f" {found['bytes'] / 1e6:6.2f} MB from rank 0; a message"
                    f" {1e6 * found['latency']:6.0f} µs and {found['bits'] / 1e6:6.0f} Mb/s",
                    flush=True,
                )
        finally:
            for host in HOSTS:
                subprocess.run(["ip", "netns", "del", host], check=False)


def join(delay: float) -> None:
    """Make both hosts, and a cable between them."""
    first, second = HOSTS
    for host in HOSTS:
        ip("netns", "add", host)
    if delay:
        ends = [open_end(host) for host in HOSTS]
        for one, other in (ends, ends[::-1]):
            threading.Thread(target=carry, args=(one, other, delay), daemon=True).start()
    else:
        ip("link", "add", "cable", "netns", first, "type", "veth", "peer", "cable", "netns", second)
    for host, address in HOSTS.items():
        ip("-n", host, "addr", "add", f"{address}/24", "dev", "cable")
        ip("-n", host, "link", "set", "lo", "up")
        ip("-n", host, "link", "set", "cable", "mtu", str(PACKET), "up")


def open_end(host: str) -> int:
    """Return a file from which the packets that a host sends are read, and its own are written."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH22x", b"cable", IFF_TUN | IFF_NO_PI))
    ip("link", "set", "cable", "netns", host)
    return end


def carry(source: int, to: int, delay: float) -> None:
    """Write each packet of a host to the other one after a delay, until a host is gone."""
    under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def deliver() -> None:
        while True:
            due, packet = under_way.get()
            time.sleep(max(0.0, due - time.perf_counter()))
            with suppress(OSError):  # The other end is not up yet, or gone: the packet is lost.
                os.write(to, packet)

    threading.Thread(target=deliver, daemon=True).start()
    while True:
        try:
            packet = os.read(source, PACKET)
        except OSError:
            return
        under_way.put((time.perf_counter() + delay, packet))


def limit(rate: str) -> None:
    """Limit what each host sends."""
    for host in HOSTS:
        bucket = ["rate", rate, "burst", "256kb", "latency", "50ms"]
        command = ["tc", "qdisc", "replace", "dev", "cable", "root", "tbf", *bucket]
        subprocess.run(["ip", "netns", "exec", host, *command], check=True)


def run_alone(size: str, steps: int) -> float:
    command = [sys.executable, WORKER, size, "alone", str(steps), "--threads", "1"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


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
