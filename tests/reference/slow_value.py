"""A scalar autograd engine as plain as it can be: the oracle that the fast one is held against.

Every op is a line of Python's own float arithmetic and a line for each derivative; every op over
a list is written out as the program of scalar ops that it stands for. Next to each gradient,
`reach` collects the sum of the *absolute* contributions of all paths: the scale on which
rounding errors of that gradient have to be judged, as contributions may cancel.
"""

import builtins
import math
import numbers
from fractions import Fraction


class Value:
    """A number, the Values it was made of, and its derivative for each of them."""

    def __init__(self, data, _children=(), _op="", label="", *, local_grads=None):
        self.data = float(data)
        self.grad = 0.0
        self.reach = 0.0
        self.label = label
        self._op = _op
        self._children = tuple(_children)
        self._slopes = (0.0,) * len(self._children) if local_grads is None else tuple(local_grads)
        self._prev = tuple(dict.fromkeys(self._children))

    def _backward(self):
        """Hand the gradient on; a program may put its own rule in this place."""
        for child, slope in zip(self._children, self._slopes, strict=True):
            child.grad += slope * self.grad

    def _widen(self):
        for child, slope in zip(self._children, self._slopes, strict=True):
            child.reach += abs(slope) * self.reach

    def backward(self):
        """Add d(self)/d(node) to the gradient of every node below, or nothing if a rule raises."""
        nodes = in_topological_order(self)
        earlier = [(node.grad, node.reach) for node in nodes]
        for node in nodes:
            node.grad = node.reach = 0.0
        self.grad = self.reach = 1.0
        try:
            for node in reversed(nodes):
                node._backward()
                node._widen()
        except BaseException:
            for node in nodes:
                node.grad = node.reach = 0.0
            raise
        finally:
            for node, (grad, reach) in zip(nodes, earlier, strict=True):
                node.grad += grad
                node.reach += reach

    def zero_grad(self):
        """Set the gradient of every node below to 0."""
        for node in in_topological_order(self):
            node.grad = node.reach = 0.0

    def __add__(self, other):
        return add(self, other)

    def __radd__(self, other):
        return self + other

    def __sub__(self, other):
        return subtract(self, other)

    def __rsub__(self, other):
        return subtract(other, self)

    def __mul__(self, other):
        return multiply(self, other)

    def __rmul__(self, other):
        return self * other

    def __truediv__(self, other):
        return divide(self, other)

    def __rtruediv__(self, other):
        return divide(other, self)

    def __pow__(self, other):
        return power(self, other)

    def __rpow__(self, other):
        return power(other, self)

    def __neg__(self):
        return self._map("neg", -self.data, -1.0)

    def __pos__(self):
        return self._map("pos", +self.data, 1.0)

    def __abs__(self):
        x = self.data
        return self._map("abs", abs(x), x if math.isnan(x) else float((x > 0) - (x < 0)))

    def exp(self):
        value = math.exp(self.data)
        return self._map("exp", value, value)

    def log(self):
        return self._map("log", math.log(self.data), 1 / self.data)

    def sqrt(self):
        root = math.sqrt(self.data)
        return self._map("sqrt", root, math.inf if root == 0 else 0.5 / root)

    def sin(self):
        return self._map("sin", math.sin(self.data), math.cos(self.data))

    def cos(self):
        return self._map("cos", math.cos(self.data), -math.sin(self.data))

    def tanh(self):
        return self._map("tanh", math.tanh(self.data), slope_of_tanh(self.data))

    def sigmoid(self):
        e = math.exp(-abs(self.data))  # at most 1, so that neither tail overflows
        value = 1 / (1 + e) if self.data >= 0 else e / (1 + e)
        return self._map("sigmoid", value, slope_of_tanh(self.data / 2) / 4)

    def relu(self):
        x = self.data
        return self._map("ReLU", 0.0 if x < 0 else x, 1.0 if x > 0 else 0.0)

    def max(self, other):
        return max(self, other)

    def min(self, other):
        return min(self, other)

    def _map(self, op, value, slope):
        return Value(value, (self,), op, local_grads=(slope,))


def in_topological_order(root):
    """List all nodes that root depends on, each after everything it was made of."""
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, children_done = stack.pop()
        if children_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((child, False) for child in node._children)
    return order


def number(operand):
    if isinstance(operand, Value):
        return operand.data
    if isinstance(operand, numbers.Real):
        return float(operand)
    raise TypeError(f"expected a Value or a number, got {operand!r}")


def as_value(operand):
    return operand if isinstance(operand, Value) else Value(number(operand))


def combine(op, x, y, value, dx, dy):
    """Make a node of those operands that are Values; plain numbers have no gradient."""
    operands = [(operand, d) for operand, d in ((x, dx), (y, dy)) if isinstance(operand, Value)]
    return Value(value, [v for v, _ in operands], op, local_grads=[d for _, d in operands])


def add(x, y):
    return combine("+", x, y, number(x) + number(y), 1.0, 1.0)


def subtract(x, y):
    return combine("-", x, y, number(x) - number(y), 1.0, -1.0)


def multiply(x, y):
    a, b = number(x), number(y)
    return combine("*", x, y, a * b, b, a)


def divide(x, y):
    a, b = number(x), number(y)
    return combine("/", x, y, a / b, 1 / b, slope_of_divisor(a, b))


def slope_of_divisor(a, b):
    """-a/b**2 as a fraction, which knows neither too large nor too small, where there is one."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return -(a / b) / b
    try:
        return float(-Fraction(a) / Fraction(b) ** 2)
    except OverflowError:
        return math.copysign(math.inf, -a)


def slope_of_tanh(x):
    """1/cosh(x)**2, a factor at a time, as the square may be too large for a float."""
    try:
        return 1 / math.cosh(x) / math.cosh(x)
    except OverflowError:
        return 0.0


def power(x, n):
    a, b = number(x), number(n)
    value = a**b
    if isinstance(value, complex):
        raise ValueError(f"{a!r} ** {b!r} is not a real number")
    op = "**" if isinstance(n, Value) else f"**{n}"
    return combine(op, x, n, value, slope_of_power(a, b), slope_of_exponent(a, b))


def slope_of_power(a, n):
    """n * a**(n-1), and 0 for n = 0."""
    if n == 0:
        return 0.0
    if a == 0 or not (math.isfinite(a) and math.isfinite(n)):
        return slope_of_endless_power(a, n)
    rest = Fraction(n) - 1
    sign = math.copysign(1.0, n) * (-1.0 if a < 0 and rest % 2 == 1 else 1.0)
    return sign * times_power(abs(n), abs(a), rest)


def slope_of_endless_power(a, n):
    """As the limit; a may be 0, and either may be infinite or nan."""
    power = math.inf if a == 0 and n < 1 else a ** (n - 1)
    return 0.0 if power == 0 and math.isinf(n) else n * power


def slope_of_exponent(a, n):
    """a**n * log(a); 0 where a**n is 0 for a = 0, or 1."""
    if a == 0 and n >= 0:
        return 0.0
    if a < 0:
        return math.nan
    log = math.log(a) if a else -math.inf
    if not (a and math.isfinite(a) and math.isfinite(n)):
        power = math.inf if a == 0 and n < 0 else a**n
        return 0.0 if power == 0 else power * log
    return math.copysign(times_power(abs(log), a, Fraction(n)), log) if log else 0.0


def times_power(factor, a, n):
    """factor * a**n for positive numbers, n a fraction: a sixteenth of the power, sixteen times.

    A sixteenth is always in range, and so is what has been multiplied so far, if the end is.
    """
    part = a ** float(n / 16)
    part += part * float(n / 16 - Fraction(float(n / 16))) * math.log(a)
    product = Fraction(factor) * Fraction(part) ** 16
    try:
        return float(product)
    except OverflowError:
        return math.inf


def max(x, y):
    a, b = number(x), number(y)
    return combine("max", x, y, b, 0.0, 1.0) if b > a else combine("max", x, y, a, 1.0, 0.0)


def min(x, y):
    a, b = number(x), number(y)
    return combine("min", x, y, b, 0.0, 1.0) if b < a else combine("min", x, y, a, 1.0, 0.0)


def sum(values):
    return builtins.sum(values, Value(0.0))


def dot(w, x):
    return affine(w, x, 0.0)


def affine(w, x, b):
    total = as_value(b)
    for wi, xi in zip(w, x, strict=True):
        total = total + as_value(wi) * xi
    return total


def linear(x, rows, bias=None):
    starts = [0.0] * len(rows) if bias is None else bias
    return [affine(row, x, start) for row, start in zip(rows, starts, strict=True)]


def below_the_highest(logits):
    """Subtract the largest logit, as a number: the shift cancels, so it needs no gradient."""
    highest = builtins.max(number(logit) for logit in logits)
    return [as_value(logit) - highest for logit in logits]


def softmax(logits):
    powers = [x.exp() for x in below_the_highest(logits)]
    total = sum(powers)
    return [p / total for p in powers]


def log_softmax(logits):
    shifted = below_the_highest(logits)
    log_total = sum(x.exp() for x in shifted).log()
    return [x - log_total for x in shifted]


def cross_entropy(logits, target):
    shifted = below_the_highest(logits)
    return sum(x.exp() for x in shifted).log() - shifted[target]


def rms_norm(x, eps=1e-5):
    scale = (dot(x, x) / len(x) + eps) ** -0.5
    return [scale * xi for xi in x]
