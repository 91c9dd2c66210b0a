"""Random programs over Values, as source text that any engine with the same names can run.

A program is written line by line, `v7 = v3 * v5`, and each line is tried on the slow engine
first: what it refuses, and what is too large or too steep to compare, gives way to a line that
cannot fail. So every program runs through, on numbers of moderate size.
"""

import dataclasses
import math
import random
import re

import slow_value

LARGEST = 8.0
STEEPEST = 1e3

# What micrograd can do. Its x / y is x * y**-1, which may differ from the quotient in the last
# bit, and a later cancellation may magnify that: inside a graph it divides by powers of two.
MICROGRAD = (
    "{x} + {y}", "{x} + {c}", "{c} + {x}", "{x} - {y}", "{x} - {c}", "{c} - {x}", "{x} * {y}",
    "{x} * {c}", "{c} * {x}", "-{x}", "{x} / {p}", "{x} / half", "{c} / half", "{x}.relu()",
    "({x} - {y}).relu()", "{x} ** {n}", "({x} * {x} + 1) ** {r}", "sum([{x}, {y}, {z}])",
    "sum(factor * {x} for factor in [{x}, {y}, {z}])",
)  # fmt: skip

SMOOTH = (
    "{x} + {y}", "{c} + {x}", "{x} - {y}", "{c} - {x}", "{x} * {y}", "{x} * {c}", "{x} / {y}",
    "{c} / {x}", "{x} / {c}", "{x} ** {n}", "{x} ** {r}", "{x} ** {y}", "{p} ** {x}", "-{x}",
    "+{x}", "{x}.exp()", "{x}.log()", "{x}.sqrt()", "{x}.sin()", "{x}.cos()", "{x}.tanh()",
    "{x}.sigmoid()", "sum({xs})", "dot({xs}, {ys})", "affine({xs}, {ys}, {z})",
    "linear({xs}, [{ys}, {zs}])", "linear({xs}, [{zs}, {ys}, {xs}], bias=[{x}, {c}, {z}])",
    "softmax({xs})", "log_softmax({xs})", "cross_entropy({xs}, {k})", "rms_norm({xs})",
)  # fmt: skip

EVERYTHING = (
    *SMOOTH, "{x}.relu()", "abs({x})", "{x}.max({y})", "{x}.min({c})", "max({c}, {x})",
    "min({x}, {y})", "{x} - {x}", "{x} * {x}", "({x} - {y}).relu()", "{x} ** 0",
)  # fmt: skip

FUNCTIONS = (
    "max", "min", "sum", "dot", "affine", "linear", "softmax", "log_softmax", "cross_entropy",
    "rms_norm",
)  # fmt: skip

SHAPES = ("any", "wide", "deep", "shared")


@dataclasses.dataclass
class Program:
    """Lines that define the Values named in `names` from the numbers in `leaves`."""

    functions: tuple = ()
    leaves: list = dataclasses.field(default_factory=list)
    lines: list = dataclasses.field(default_factory=list)
    names: list = dataclasses.field(default_factory=list)

    def __str__(self):
        return "\n".join([f"leaves = {self.leaves}", *self.lines])

    def run(self, engine, leaves=None):
        """Run on a module's Value and functions; return the defined Values by name."""
        scope = self.scope_of(engine)
        scope["leaves"] = self.leaves if leaves is None else leaves
        exec("\n".join(self.lines), scope)
        return {name: scope[name] for name in self.names}

    def scope_of(self, engine):
        functions = {name: getattr(engine, name) for name in self.functions}
        return {"Value": engine.Value, "leaves": self.leaves, **functions}


class Writer:
    """A program as it grows, and its Values on the slow engine."""

    def __init__(self, shape, templates, seed):
        self.random = random.Random(seed)
        self.shape = shape
        self.templates = templates
        # micrograd has no functions of its own: there, sum() is the built-in one.
        self.program = Program(functions=() if templates is MICROGRAD else FUNCTIONS)
        self.scope = self.program.scope_of(slow_value)
        self.known = set()
        self.used = set()

    def leaf(self, data, name=None):
        self.program.leaves.append(data)
        self.define(f"Value(leaves[{len(self.program.leaves) - 1}])", name)

    def step(self):
        """Write one more line: a random one or, where that cannot be computed, a tame one."""
        filled = self.fill(self.random.choice(self.templates))
        if not self.define(filled):
            self.define(self.fill("({x} + {y}) * 0.5"))

    def define(self, expression, name=None):
        """Append a line for the expression, unless its results are unfit; tell whether."""
        try:
            result = eval(expression, self.scope)
        except (ArithmeticError, ValueError):
            return False
        results = result if isinstance(result, list) else [result]
        if not all(is_moderate(value, self.known) for value in results):
            return False
        if self.shape == "deep" and any(is_flat(value) for value in results):
            return False  # it would cut the chain: nothing below could get a gradient
        first = len(self.program.names)
        names = [name] if name else [f"v{first + i}" for i in range(len(results))]
        target = f"[{', '.join(names)}]" if isinstance(result, list) else names[0]
        self.program.lines.append(f"{target} = {expression}")
        self.program.names += names
        self.scope.update(zip(names, results, strict=True))
        self.known.update(map(id, results))
        self.used.update(re.findall(r"\bv\d+", expression))
        return True

    def fill(self, template):
        """Put names and numbers into the template's places."""
        pick, size = self.random.choice, self.random.randint(1, 5)
        places = {place: self.name() for place in "xyz"}
        if self.shape == "deep":
            places["x"] = self.program.names[-1]
        for place in ("xs", "ys", "zs"):
            places[place] = f"[{', '.join(self.name() for _ in range(size))}]"
        return template.format(
            **places,
            c=pick((2, -1, 0.5, -3, 1.5, 0.1, 1, round(self.random.uniform(-3, 3), 3))),
            p=pick((2, 4.0, 0.5, 8)),
            n=pick((2, 3, 2.0, -1, -2, 1)),
            r=pick((0.5, -0.5, 1.5)),
            k=self.random.randrange(size),
        )

    def name(self):
        """Choose an operand, as the shape of the graph wants it."""
        names = self.program.names
        if self.shape == "wide":
            return self.random.choice(names[: len(self.program.leaves)])
        if self.shape == "shared":
            return self.random.choice(names[-3:])
        return self.random.choice(names)

    def loose_ends(self, most):
        """List nodes that nothing was made of, the last ones first."""
        return [name for name in reversed(self.program.names) if name not in self.used][:most]


def is_moderate(value, known):
    """Tell whether a result and all steps towards it are of a size that can be compared."""
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if not abs(node.data) <= LARGEST or any(not abs(s) <= STEEPEST for s in node._slopes):
            return False
        waiting += [child for child in node._children if id(child) not in known]
    return True


def is_flat(value):
    return bool(value._slopes) and not any(value._slopes)


def write(shape, leaves, steps, seed, templates):
    """Write a program; `root` depends on the last of its loose ends."""
    writer = Writer(shape, templates, seed)
    special = (0.0, 1.0, -1.0, 2.0)
    for i in range(leaves):
        usual = writer.random.uniform(-2, 2)
        writer.leaf(writer.random.choice(special) if i and usual > 1.5 else usual)
    if templates is MICROGRAD:
        writer.leaf(writer.random.choice((0.5, -0.5, 2.0, 4.0)), "half")
    for _ in range(steps):
        writer.step()
    finish(writer)
    return writer.program


def finish(writer):
    """Join the loose ends to the root by terms, quotients of any two numbers among them."""
    terms = []
    for i, name in enumerate(writer.loose_ends(most=40 if writer.shape == "wide" else 12)):
        other = writer.name()
        divisor = writer.scope[other].data
        fits = abs(divisor) > 0.1 and math.isfinite(divisor)
        choices = (f"{name} * 1.5", f"{name} / 3") + ((f"{name} / {other}",) if fits else ())
        if writer.define(writer.random.choice(choices), f"term{i}"):
            terms.append(f"term{i}")
    line = f"root = {' + '.join(terms) or writer.program.names[-1]}"
    writer.program.lines.append(line)
    writer.program.names.append("root")
