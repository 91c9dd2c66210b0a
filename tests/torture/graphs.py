"""Random graphs of all ops against the slow oracle: the same data bit for bit, the same gradients.

python tests/torture/graphs.py SECONDS SEED
"""

import math
import random
import sys

import fastgrad.engine
import helping
import random_programs
import slow_value

TINY = 1e-300  # below it, floats lose digits


def difference(program):
    """Run a program with both engines; tell where they differ, or nothing."""
    runs = []
    for engine in (fastgrad.engine, slow_value):
        values = program.run(engine)
        values["root"].backward()
        runs.append(values)
    fast, slow = runs
    for name in program.names:
        if fast[name].data.hex() != slow[name].data.hex():
            return f"{name}: {fast[name].data!r} for {slow[name].data!r}"
        reach = slow[name].reach
        if math.isfinite(reach):
            off = abs(fast[name].grad - slow[name].grad)
            if not off <= 1e-12 * reach + TINY:
                return f"gradient of {name}: {fast[name].grad!r} for {slow[name].grad!r}"
    return ""


def main(seconds, seed):
    draw = random.Random(seed)
    faults, count, nodes = [], 0, 0
    for _ in helping.turns(seconds):
        shape = draw.choice(random_programs.SHAPES)
        steps = draw.randint(1, 300 if shape == "deep" else 50)
        templates = draw.choice([random_programs.EVERYTHING, random_programs.SMOOTH])
        number = draw.randrange(2**32)
        program = random_programs.write(shape, draw.randint(1, 8), steps, number, templates)
        found = difference(program)
        count, nodes = count + 1, nodes + len(program.names)
        if found:
            faults.append(f"{found} in\n{program}")
            if len(faults) >= 5:
                break
    helping.leave(faults, f"{count:,} graphs of {nodes:,} named values, seed {seed}")


if __name__ == "__main__":
    main(*sys.argv[1:])
