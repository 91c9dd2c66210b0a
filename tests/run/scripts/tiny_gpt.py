"""A GPT over names, all of Values: local gradients in slots, a recursive backward."""

import math
import random
import sys

random.seed(7)
STEPS, SAMPLES = int(sys.argv[1]), 20
names = [line.strip() for line in open("input.txt") if line.strip()]
random.shuffle(names)
letters = sorted(set("".join(names)))
END = len(letters)
VOCAB, WIDTH, HEADS, BLOCK = len(letters) + 1, 8, 2, 8
HEAD = WIDTH // HEADS


class Value:
    __slots__ = ("_children", "_local_grads", "data", "grad")

    def __init__(self, data, children=(), local_grads=()):
        self.data = data
        self.grad = 0
        self._children = children
        self._local_grads = local_grads

    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data + other.data, (self, other), (1, 1))

    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data))

    def __pow__(self, n):
        return Value(self.data**n, (self,), (n * self.data ** (n - 1),))

    def log(self):
        return Value(math.log(self.data), (self,), (1 / self.data,))

    def exp(self):
        y = math.exp(self.data)
        return Value(y, (self,), (y,))

    def relu(self):
        return Value(max(0, self.data), (self,), (float(self.data > 0),))

    def __neg__(self):
        return self * -1

    def __radd__(self, other):
        return self + other

    def __sub__(self, other):
        return self + (-other)

    def __rsub__(self, other):
        return other + (-self)

    def __rmul__(self, other):
        return self * other

    def __truediv__(self, other):
        return self * other**-1

    def __rtruediv__(self, other):
        return other * self**-1

    def backward(self):
        order, seen = [], set()

        def visit(node):
            if node not in seen:
                seen.add(node)
                for child in node._children:
                    visit(child)
                order.append(node)

        visit(self)
        self.grad = 1
        for node in reversed(order):
            for child, slope in zip(node._children, node._local_grads):
                child.grad += slope * node.grad


def weights(rows, columns):
    return [[Value(random.gauss(0, 0.1)) for _ in range(columns)] for _ in range(rows)]


model = {
    "token": weights(VOCAB, WIDTH),
    "place": weights(BLOCK, WIDTH),
    "out": weights(VOCAB, WIDTH),
}
for part in ("q", "k", "v", "o"):
    model[part] = weights(WIDTH, WIDTH)
model["up"], model["down"] = weights(4 * WIDTH, WIDTH), weights(WIDTH, 4 * WIDTH)
params = [p for matrix in model.values() for row in matrix for p in row]
print("parameters", len(params))


def linear(x, matrix):
    return [sum(w * v for w, v in zip(row, x)) for row in matrix]


def softmax(logits):
    top = max(logit.data for logit in logits)
    powers = [(logit - top).exp() for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def rmsnorm(x):
    scale = (sum(v * v for v in x) / len(x) + 1e-5) ** -0.5
    return [v * scale for v in x]


def predict(token, place, keys, values):
    x = rmsnorm([a + b for a, b in zip(model["token"][token], model["place"][place])])
    normed = rmsnorm(x)
    query = linear(normed, model["q"])
    keys.append(linear(normed, model["k"]))
    values.append(linear(normed, model["v"]))
    mixed = []
    for start in range(0, WIDTH, HEAD):
        part = slice(start, start + HEAD)
        scores = [sum(a * b for a, b in zip(query[part], key[part])) / HEAD**0.5 for key in keys]
        shares = softmax(scores)
        mixed += [sum(s * v[i] for s, v in zip(shares, values)) for i in range(start, start + HEAD)]
    x = [a + b for a, b in zip(x, linear(mixed, model["o"]))]
    hidden = [v.relu() for v in linear(rmsnorm(x), model["up"])]
    x = [a + b for a, b in zip(x, linear(hidden, model["down"]))]
    return linear(x, model["out"])


first, second = [0.0] * len(params), [0.0] * len(params)
for step in range(STEPS):
    name = names[step % len(names)]
    tokens = [END, *(letters.index(letter) for letter in name), END]
    n = min(BLOCK, len(tokens) - 1)
    keys, values, losses = [], [], []
    for place in range(n):
        probs = softmax(predict(tokens[place], place, keys, values))
        losses.append(-probs[tokens[place + 1]].log())
    loss = (1 / n) * sum(losses)
    loss.backward()
    rate = 0.02 * (1 - step / STEPS)
    for i, p in enumerate(params):
        first[i] = 0.85 * first[i] + 0.15 * p.grad
        second[i] = 0.99 * second[i] + 0.01 * p.grad**2
        m, v = first[i] / (1 - 0.85 ** (step + 1)), second[i] / (1 - 0.99 ** (step + 1))
        p.data -= rate * m / (v**0.5 + 1e-8)
        p.grad = 0
    print("step", step + 1, "loss", loss.data)

for number in range(SAMPLES):
    token, name, keys, values = END, "", [], []
    for place in range(BLOCK):
        probs = softmax([logit / 0.5 for logit in predict(token, place, keys, values)])
        token = random.choices(range(VOCAB), weights=[p.data for p in probs])[0]
        if token == END:
            break
        name += letters[token]
    print("sample", number + 1, name)
