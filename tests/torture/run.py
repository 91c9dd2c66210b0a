"""Run all programs of this folder, with seed 1 and with a fresh seed.

    python tests/torture/run.py [SECONDS [SEED]]

SECONDS (default: 20) is for each program and seed. The last line of each is printed, and all that
one with faults says. Exit code 1 where there are any.
"""

import pathlib
import secrets
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
NO_PROGRAMS = {"run", "helping"}


def main(seconds="20", seed=None):
    fresh = str(secrets.randbelow(10**9)) if seed is None else seed
    bad = []
    for program in sorted(path for path in HERE.glob("*.py") if path.stem not in NO_PROGRAMS):
        for one in ("1", fresh):
            done = subprocess.run(
                [sys.executable, program, seconds, one],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            lines = done.stdout.splitlines() or [f"no output, exit code {done.returncode}"]
            print(f"{program.stem}: {lines[-1]}", flush=True)
            if done.returncode:
                bad.append(f"{program.stem} {one}")
                print("\n".join(lines[:-1]), done.stderr[-3000:], sep="\n", flush=True)
    if bad:
        print(f"faults in: {', '.join(bad)}; again: python {HERE.name}/NAME.py {seconds} SEED")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
