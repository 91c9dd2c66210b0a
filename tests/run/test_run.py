"""`fastgrad run`: scripts print what they printed, whatever class of theirs is replaced."""

import pathlib
import re
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = pathlib.Path(__file__).parent / "scripts"
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?|-?\d+e[-+]?\d+")

# An engine without anything but what every engine has; `{more}` are further methods.
ENGINE = """
import math

class Value:
    def __init__(self, data, _children=(), _op=""):
        self.data = data
        self.grad = 0.0
        self._backward = lambda: None
        self._prev = set(_children)
        self._op = _op

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), "+")
        def rule():
            self.grad += out.grad
            other.grad += out.grad
        out._backward = rule
        return out

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), "*")
        def rule():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out._backward = rule
        return out

    def backward(self):
        order, seen = [], set()
        def visit(v):
            if v not in seen:
                seen.add(v)
                for child in v._prev:
                    visit(child)
                order.append(v)
        visit(self)
        self.grad = 1.0
        for v in reversed(order):
            v._backward()

{more}

a, b = Value(2.0), Value(-3.0)
c = a * b + a
c.backward()
print("is fastgrad's:", type(Value.__add__).__name__ == "wrapper_descriptor")
"""


def ran(folder, *command):
    """Run a command in a folder."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def both(folder, name, *arguments):
    """Run a script by Python and by fastgrad."""
    return ran(folder, name, *arguments), ran(folder, "-m", "fastgrad", "run", name, *arguments)


def assert_same_output(plain, fast):
    """Compare what was printed: numbers to 1e-12, everything else to the letter."""
    assert plain.returncode == fast.returncode == 0, plain.stderr + fast.stderr
    assert NUMBER.sub("#", plain.stdout) == NUMBER.sub("#", fast.stdout)
    numbers = [[float(n) for n in NUMBER.findall(done.stdout)] for done in (plain, fast)]
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-12, abs=1e-12)


def engine(folder, more="", then="", cls="Value", **changes):
    """Write an engine with methods and statements added and words changed; return its name."""
    source = ENGINE.replace("{more}", "\n".join(f"    {line}" for line in more.splitlines()))
    for old, new in changes.pop("words", {}).items():
        assert old in source
        source = source.replace(old, new)
    source = re.sub(r"\bValue\b", cls, source)
    (folder / "engine.py").write_text(source + then, encoding="utf-8")
    return "engine.py"


def replaced(folder, *changes, **more):
    """Run an engine both ways; assert that it prints the same, and that the class was replaced."""
    plain, fast = both(folder, engine(folder, *changes, **more))
    assert "is fastgrad's: True" in fast.stdout, fast.stderr
    plain.stdout = plain.stdout.replace("is fastgrad's: False", "is fastgrad's: True")
    assert_same_output(plain, fast)
    return fast.stderr


def left_alone(folder, *changes, **more):
    """Run an engine both ways; assert that it prints the same, and that the class is its own."""
    plain, fast = both(folder, engine(folder, *changes, **more))
    assert "is fastgrad's: False" in fast.stdout, fast.stderr
    assert_same_output(plain, fast)
    assert "is left as it is" in fast.stderr
    return fast.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("tiny_gpt.py", ["6"], "all its methods agree"),
        ("moons.py", [], "kept of its own: __repr__, relu, __gt__"),
        ("three_classes.py", [], "kept of its own: __repr__, softplus, _of"),
    ],
)
def test_scripts_print_what_they_printed(tmp_path, name, arguments, told):
    (tmp_path / name).write_bytes((SCRIPTS / name).read_bytes())
    (tmp_path / "input.txt").write_text("emma\nolivia\nava\nisabella\nsophia\nmia\nzoe\n")
    plain, fast = both(tmp_path, name, *arguments)
    assert_same_output(plain, fast)
    assert f"Value ({name}, line" in fast.stderr
    assert told in fast.stderr
    assert fast.stderr.count("\n") == 1


LEAKY = """
def relu(self):
    out = Value(max(self.data, 0.01 * self.data), (self,), "relu")
    def rule():
        self.grad += (1 if self.data > 0 else 0.01) * out.grad
    out._backward = rule
    return out
"""


def test_methods_that_differ_stay(tmp_path):
    then = "d = (a * b).relu() + 1\nd.backward(); print(d.data, a.grad, b.grad)\n"
    assert "kept of its own: relu\n" in replaced(tmp_path, LEAKY, then)


def test_methods_that_fastgrad_lacks_stay(tmp_path):
    more = LEAKY.replace("relu", "bent") + "def twice(self): return self + self\nunit = 3.0\n"
    then = "d = (a * b).bent().twice() * Value.unit\nd.backward(); print(d.data, a.grad, b.grad)\n"
    told = replaced(tmp_path, more, then)
    assert "bent, twice" in told


def test_methods_that_agree_are_ours(tmp_path):
    more = """
def exp(self):
    out = Value(math.exp(self.data), (self,), "exp")
    def rule(): self.grad += out.data * out.grad
    out._backward = rule
    return out
def __neg__(self): return self * -1
def __sub__(self, other): return self + (-other)
"""
    then = "d = (a - b).exp()\nd.backward(); print(d.data, a.grad, b.grad, type(a.exp).__name__)\n"
    fast = ran(tmp_path, "-m", "fastgrad", "run", engine(tmp_path, more, then))
    assert "all its methods agree" in fast.stderr
    assert fast.stdout.endswith(" builtin_function_or_method\n")


@pytest.mark.parametrize(
    "repr_",
    ['f"Value(data={self.data})"', 'f"<{type(self).__name__} {self._op} {len(self._prev)}>"'],
)
def test_a_repr_of_their_own_stays(tmp_path, repr_):
    told = replaced(tmp_path, f"def __repr__(self): return {repr_}", "print(a, a * b)\n")
    assert "__repr__" in told


def test_a_repr_shows_no_label_that_it_did_not_show(tmp_path):
    more = 'def __repr__(self): return f"Value(data={self.data}, grad={self.grad})"'
    replaced(tmp_path, more, "a.label = 'a'\nprint(a, b)\n")


def test_a_repr_may_show_a_set_in_any_order(tmp_path):
    more = 'def __repr__(self): return f"<{self.data} {self._prev}>"'
    assert "__repr__" in replaced(tmp_path, more, "print(a)\n")


def test_a_class_of_another_name_keeps_it(tmp_path):
    then = "print(type(a), Scalar.__name__, isinstance(a * b, Scalar))\n"
    told = replaced(tmp_path, then=then, cls="Scalar")
    assert "Scalar (engine.py, line 4) is fastgrad's Value now" in told


def test_operands_rules_and_ops_have_their_own_names(tmp_path):
    words = {"_prev": "parents", "._backward": ".push", "._op": ".op", "set(_ch": "list(_ch"}
    more = LEAKY.replace("_backward", "push").replace("relu", "bent")
    then = "print([p.data for p in c.parents], c.op, a.op, a.parents)\n"
    then += "c.push(); print(a.bent().data)\n"
    replaced(tmp_path, more, then, words=words)


@pytest.mark.parametrize(
    ("parameters", "call"),
    [
        ('data, label="", _op="", _children=()', "Value(2.0, 'a')"),
        ('data=0.0, _children=(), _op="", name=None', "Value(2.0, name='a')"),
        ('data, _children=(), _op="", name=None', "Value(2.0, (), '', 'a')"),
    ],
)
def test_constructors_take_their_own_arguments(tmp_path, parameters, call):
    name = "label" if "label" in parameters else "name"
    words = {
        'data, _children=(), _op=""': parameters,
        "self.grad = 0.0": f"self.grad = 0.0; self.{name} = {name}",
        '(self, other), "+"': '_children=(self, other), _op="+"',
        '(self, other), "*"': '_children=(self, other), _op="*"',
    }
    more = LEAKY.replace("(self,), ", "_children=(self,), _op=").replace("relu", "bent")
    then = f"v = {call}\nprint(v.{name}, v.bent().{name}, (v * a).data, isinstance(v * a, Value))\n"
    then += "Value.half = lambda self: self * 0.5\nprint(v.half().data)\n"
    replaced(tmp_path, more, then, words=words)


def test_attributes_that_all_values_have_alike(tmp_path):
    words = {"self._op = _op": "self._op = _op; self.m = 0; self.fixed = False"}
    then = "a.m += 0.5; print(a.m, b.m, c.m, c.fixed)\n"
    replaced(tmp_path, then=then, words=words)


def test_whatever_else_a_class_has_stays(tmp_path):
    more = """
unit = "m"
def __eq__(self, other): return isinstance(other, Value) and self.data == other.data
def __hash__(self): return id(self)
def __lt__(self, other): return self.data < other.data
def __float__(self): return self.data
def __bool__(self): return self.data != 0
def __iadd__(self, other): return self + other + 1
def __call__(self): return self.data
def zero_grad(self): self.grad = 0.0
@property
def size(self): return 1
@staticmethod
def zero(): return Value(0.0)
@classmethod
def of(cls, x): return cls(x)
"""
    then = """
print(a == Value(2.0), a == b, [v.data for v in sorted([a, b])], float(a), bool(Value.zero()))
print(a(), a.size, Value.of(3.0).data, Value.unit, a.unit, len({a, b, a}))
d = a * b
d += 1
d.backward()
d.zero_grad()
print(d.data, d.grad, a.grad)
"""
    told = replaced(tmp_path, more, then)
    assert "__eq__, __hash__, __lt__, __float__, __bool__, __iadd__, __call__" in told


def test_a_dataclass_is_a_class(tmp_path):
    words = {
        "import math": "from __future__ import annotations\nimport math\n"
        "from dataclasses import dataclass\n@dataclass(eq=False, repr=False)",
        'def __init__(self, data, _children=(), _op=""):': """data: float
    _children: tuple = ()
    _op: str = ""
    grad: float = 0.0
    def __post_init__(self):""",
        "self.data = data": "pass",
        "self.grad = 0.0": "pass",
        "self._op = _op": "pass",
        "self._prev = set(_children)": "pass",
        "v._prev": "v._children",
    }
    replaced(tmp_path, LEAKY, "print(b.relu().data, len(c._children))\n", words=words)


def test_helpers_that_come_after_the_class_are_known(tmp_path):
    words = {
        "other = other if isinstance(other, Value) else Value(other)": "other = lift(other)",
        "\na, b =": "\ndef lift(x): return x if isinstance(x, Value) else Value(x)\na, b =",
    }
    replaced(tmp_path, then="print((a + 1).data, (a * 2).data)\n", words=words)


def test_a_class_that_is_defined_again_is_replaced_again(tmp_path):
    again = ENGINE.replace("{more}", LEAKY.replace("\n", "\n    "))
    told = replaced(tmp_path, then=again + "print(Value(-1.0).relu().data)\n")
    assert told.count("is fastgrad's Value now") == 2


def test_a_second_class_is_left_alone(tmp_path):
    other = re.sub(r"\bValue\b", "Other", ENGINE.replace("{more}", "").split("a, b =")[0])
    then = other + "print((Other(2.0) * Other(3.0)).data, type(Other(2.0)) is Other)\n"
    told = replaced(tmp_path, then=then)
    assert "Other (engine.py, line" in told
    assert "in the place of Value already" in told


PRODUCT = "self.data * other.data"
OP = "self._op = _op"
LAST = "import math"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({f"{PRODUCT}, (": f"{PRODUCT} + 1e-9, ("}, "other gradients"),
        ({"other.grad += out.grad": "other.grad = out.grad"}, "other gradients"),
        ({"seen.add(v)\n": "seen.add(v); v.grad = 0.0\n"}, "other gradients"),
        ({"visit(self)\n": "visit(self); print(len(order))\n"}, "prints"),
        (
            {LAST: f"{LAST}, numpy", "self.data = data": "self.data = numpy.array(data)"},
            "int or float",
        ),
        ({LAST: f"{LAST}; ids = [0]", OP: f"{OP}; ids[0] += 1"}, "uses ids"),
        ({OP: f"{OP}; self.parts = [data]"}, "'parts' of its own"),
        ({OP: f"{OP}; Value.made += 1", "def __add__": "made = 0\n    def __add__"}, "counts"),
        ({"self.data = data\n": "self.data = data if data else input()\n"}, "uses input"),
    ],
)
def test_a_class_of_another_kind_is_left_alone(tmp_path, words, reason):
    assert reason in left_alone(tmp_path, words=words)


@pytest.mark.parametrize(
    ("more", "then", "reason"),
    [
        ("def __len__(self): return 1", "print(len(a))\n", "__len__"),
        ("def __matmul__(self, other): return 5", "print(a @ b)\n", "__matmul__"),
        ("on = True", "Value.on = False\n", "sets Value.on"),
        ("", "a.grad = None\n", "sets a.grad"),
        (LEAKY.replace(', (self,), "relu")', "); out._prev = {self}"), "", "relu gives something"),
    ],
)
def test_a_class_that_would_not_do_the_same_is_left_alone(tmp_path, more, then, reason):
    assert reason in left_alone(tmp_path, more, then)


def test_arguments_of_backward_leave_the_class_alone(tmp_path):
    words = {
        "def backward(self)": "def backward(self, seed=1.0)",
        "self.grad = 1.0": "self.grad = seed",
    }
    assert "gives backward() arguments" in left_alone(
        tmp_path, then="c.backward(2.0)\nprint(a.grad)\n", words=words
    )


def test_trials_leave_no_trace(tmp_path):
    more = """
calls = []
def dropout(self): return self * (random.random() > 0.5)
def show(self): calls.append(self); print("shown"); open("shown", "w").close()
def noisy(self): print("noise"); return self + self
"""
    words = {"import math": "import math, random; random.seed(3); calls = []"}
    then = "print(random.random(), len(calls), Value.calls)\nprint(a.dropout().data)\n"
    told = replaced(tmp_path, more, then, words=words)
    assert "dropout, show, noisy" in told
    assert not (tmp_path / "shown").exists()


def test_a_module_beside_the_script_is_reached(tmp_path):
    engine(tmp_path)
    (tmp_path / "train.py").write_text("from engine import Value\nprint((Value(2.0) * 3).data)\n")
    plain, fast = both(tmp_path, "train.py")
    assert "Value (engine.py, line 4) is fastgrad's Value now" in fast.stderr
    assert fast.stdout == plain.stdout.replace("False", "True")
    # Python's own bytecode is neither used nor replaced.
    assert ran(tmp_path, "train.py").stdout == plain.stdout


def test_a_script_without_such_a_class_runs_as_it_is(tmp_path):
    (tmp_path / "plain.py").write_text("class Value:\n    x = 3\nprint(Value.x)\n")
    plain, fast = both(tmp_path, "plain.py")
    assert fast.stdout == plain.stdout
    assert "plain.py has no scalar class" in fast.stderr
    (tmp_path / "micro.py").write_text("from micrograd.engine import Value\nprint(Value(2.0))\n")
    plain, fast = both(tmp_path, "micro.py")
    assert fast.stdout == plain.stdout
    assert "fastgrad.engine" in fast.stderr


def test_the_script_sees_what_it_sees_under_python(tmp_path):
    (tmp_path / "look.py").write_text(
        "import sys, builtins\n"
        "print(__name__, __file__, __spec__, __package__, sys.argv, sys.path[0])\n"
        "print(sorted(globals()))\n"
        "print(sys.modules['__main__'].__dict__ is globals(), sys.stdout.errors)\n"
        "import signal; print(signal.getsignal(signal.SIGTERM))\n"
    )
    plain, fast = both(tmp_path, "look.py", "--steps", "5", "-h", "--help")
    assert fast.stdout == plain.stdout


@pytest.mark.parametrize(
    "source",
    [
        "import sys; sys.exit(7)\n",
        "import sys; sys.exit('no more')\n",
        "\ndef f():\n    return 1 / 0\n\nf()\n",
        "def f(:\n    pass\n",
        "import sys\nsys.excepthook = lambda *error: sys.stderr.write('mine\\n')\n1 / 0\n",
        "try:\n    {}['x']\nexcept KeyError as error:\n    raise ValueError('no x') from error\n",
        ENGINE.replace("{more}", "") + "\nprint(c.nothing)\n",
    ],
)
def test_exit_codes_and_tracebacks_are_those_of_python(tmp_path, source):
    (tmp_path / "ends.py").write_text(source)
    plain, fast = both(tmp_path, "ends.py")
    assert fast.returncode == plain.returncode
    told = [line for line in fast.stderr.splitlines() if not line.startswith("fastgrad run: ")]
    assert told == plain.stderr.splitlines()


@pytest.mark.parametrize("source", ["def f(:\n    pass\n", "import nowhere\n", "1 / 0\n"])
def test_tracebacks_of_modules_are_those_of_python(tmp_path, source):
    (tmp_path / "part.py").write_text(source)
    (tmp_path / "whole.py").write_text("import part\n")
    plain, fast = both(tmp_path, "whole.py")
    told = [line for line in fast.stderr.splitlines() if not line.startswith("fastgrad run: ")]
    assert told == plain.stderr.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent in another way there")
def test_ctrl_c_ends_with_130_and_where_it_was(tmp_path):
    (tmp_path / "long.py").write_text("print('on', flush=True)\nwhile True:\n    pass\n")
    command = [sys.executable, "-m", "fastgrad", "run", "long.py"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout.readline() == "on\n"
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert f'File "{tmp_path / "long.py"}", line' in told
    assert "KeyboardInterrupt" in told
    assert "running.py" not in told


def test_a_file_that_is_missing_is_refused(tmp_path):
    done = ran(tmp_path, "-m", "fastgrad", "run", "nothing.py")
    assert done.returncode == 2
    assert "nothing.py" in done.stderr
    assert "Traceback" not in done.stderr


def in_a_function(engine_source, then="", call="main()"):
    """Return a script whose engine, and what uses it, stand in a function."""
    body = (engine_source + then).replace("import math\n", "")
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    return f"import math\ndef main():\n{indented}\n{call}\n"


@pytest.mark.parametrize("call", ["main()", 'if __name__ == "__main__":\n    main()\n    main()'])
def test_a_class_in_a_function_is_replaced(tmp_path, call):
    engine_source = ENGINE.replace("{more}", LEAKY.replace("\n", "\n    "))
    then = (
        "d = (a * b).relu() + 1\nd.backward(); print(d.data, a.grad, type(a), isinstance(d, Value))"
    )
    (tmp_path / "inner.py").write_text(in_a_function(engine_source, then, call))
    plain, fast = both(tmp_path, "inner.py")
    assert fast.stdout.count("is fastgrad's: True") == call.count("main()")
    plain.stdout = plain.stdout.replace("is fastgrad's: False", "is fastgrad's: True")
    assert_same_output(plain, fast)
    assert "Value (inner.py, line 5) is fastgrad's Value now; kept of its own: relu" in fast.stderr
    assert fast.stderr.count("\n") == 1


def test_a_class_in_a_function_knows_what_is_around_it(tmp_path):
    words = {
        "other = other if isinstance(other, Value) else Value(other)": "other = lift(other)",
        "class Value": "half, seen = 0.5, []\n"
        "def lift(x): return x if isinstance(x, Value) else Value(x)\n"
        "def note(x): seen.append(x); print('noted')\n"
        "class Value",
    }
    more = (
        "\n    def halved(self): return self * half\n    def noted(self): note(self); return self"
    )
    source = ENGINE.replace("{more}", more)
    for old, new in words.items():
        source = source.replace(old, new)
    then = "print((a * 2 + 1).halved().noted().data, len(seen))"
    (tmp_path / "inner.py").write_text(in_a_function(source, then))
    plain, fast = both(tmp_path, "inner.py")
    assert "is fastgrad's: True" in fast.stdout, fast.stderr
    plain.stdout = plain.stdout.replace("is fastgrad's: False", "is fastgrad's: True")
    assert_same_output(plain, fast)


def test_classes_with_other_variables_around_them_are_not_mixed(tmp_path):
    more = "\n    def scaled(self): return self * scale"
    source = in_a_function(ENGINE.replace("{more}", more), "return Value", "")
    source = source.replace("def main()", "def make(scale)")
    source += "V, W, X = make(3.0), make(5.0), make(3.0)\n"
    source += "print([cls(2.0).scaled().data for cls in (V, W, X)])\n"
    (tmp_path / "inner.py").write_text(source)
    plain, fast = both(tmp_path, "inner.py")
    assert fast.stdout.splitlines()[-1] == plain.stdout.splitlines()[-1] == "[6.0, 10.0, 6.0]"
    assert "is fastgrad's Value now" in fast.stderr
    assert "with other variables around it" in fast.stderr


def test_a_class_in_a_function_that_counts_in_it_is_left_alone(tmp_path):
    source = ENGINE.replace("{more}", "").replace("class Value", "made = 0\nclass Value")
    source = source.replace("self.grad = 0.0", "nonlocal made; made += 1; self.grad = 0.0", 1)
    (tmp_path / "inner.py").write_text(in_a_function(source, "print(made)"))
    plain, fast = both(tmp_path, "inner.py")
    assert_same_output(plain, fast)
    assert "is left as it is" in fast.stderr
