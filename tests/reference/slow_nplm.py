"""The neural probabilistic language model twice: scalar by scalar, and in plain numpy.

Both from the paper's formula y = b + W·x + U·tanh(d + H·x) (Bengio et al. 2003), x being the rows
of C of a context side by side, with the mean of -ln softmax(y)[target] as the loss. In tied models
C·P stands in place of U. Dropout is a pair of arrays of factors, of x and of the hidden layer.
"""

import numpy as np

WEIGHTS = ("C", "H", "U", "W", "P")


def shapes(vocabulary, context, features, hidden, direct, tied=False):
    """List the parameters' shapes."""
    inputs = context * features
    found = {
        "C": (vocabulary, features),
        "H": (hidden, inputs),
        "d": (hidden,),
        "U": (vocabulary, hidden),
        "b": (vocabulary,),
    }
    if direct:
        found["W"] = (vocabulary, inputs)
    if tied:
        del found["U"]
        found["P"] = (features, hidden)
    return found


def random_params(rng, sizes, dtype=np.float64, scale=0.5):
    """Draw parameters for the sizes that `shapes` takes."""
    return {k: (scale * rng.standard_normal(s)).astype(dtype) for k, s in shapes(*sizes).items()}


def random_examples(rng, count, vocabulary, context):
    """Draw contexts and targets."""
    inputs = rng.integers(vocabulary, size=(count, context), dtype=np.uint32)
    return inputs, rng.integers(vocabulary, size=count, dtype=np.uint32)


# Scalar by scalar ---------------------------------------------------------------------------------


def value_loss(engine, params, inputs, targets, factors=None):
    """Write the network with the Values of an engine; return the loss and Values by parameter."""
    made = {
        name: np.array([engine.Value(x) for x in array.ravel().tolist()] or [], object).reshape(
            array.shape
        )
        for name, array in params.items()
    }
    of_x, of_hidden = factors if factors is not None else ones(params, inputs)
    losses = [
        value_example(made, context, target, kept)
        for context, target, *kept in zip(
            inputs.tolist(), targets.tolist(), of_x.tolist(), of_hidden.tolist(), strict=True
        )
    ]
    return sum(losses[1:], losses[0]) / len(losses), made


def value_example(made, context, target, factors):
    """Give one example's -ln softmax(y)[target], shifted by the largest logit as a number."""
    x = [feature for symbol in context for feature in made["C"][symbol]]
    x = [feature * factor for feature, factor in zip(x, factors[0], strict=True)]
    hidden = [
        sum((w * v for w, v in zip(row, x, strict=True)), bias).tanh() * factor
        for row, bias, factor in zip(made["H"], made["d"], factors[1], strict=True)
    ]
    if "P" in made:
        hidden = [sum((p * a for p, a in zip(row, hidden, strict=True)), 0.0) for row in made["P"]]
    logits = []
    for symbol, bias in enumerate(made["b"]):
        row = made["C" if "P" in made else "U"][symbol]
        y = sum((u * a for u, a in zip(row, hidden, strict=True)), bias)
        if "W" in made:
            y = sum((w * v for w, v in zip(made["W"][symbol], x, strict=True)), y)
        logits.append(y)
    largest = max(y.data for y in logits)
    shifted = [y - largest for y in logits]
    return sum((y.exp() for y in shifted[1:]), shifted[0].exp()).log() - shifted[target]


def value_gradients(engine, params, inputs, targets, factors=None):
    """Return the loss and an array of gradients for each parameter."""
    loss, made = value_loss(engine, params, inputs, targets, factors)
    loss.backward()
    gradients = {
        name: np.array([v.grad for v in values.ravel()], float).reshape(values.shape)
        for name, values in made.items()
    }
    return loss.data, gradients


# In numpy -----------------------------------------------------------------------------------------


def ones(params, inputs):
    """Give the factors of no dropout."""
    hidden, width = params["H"].shape
    return np.ones((len(inputs), width)), np.ones((len(inputs), hidden))


def activations(params, inputs, factors=None):
    """Return x, the hidden activations before dropout, and the logits."""
    of_x, of_hidden = factors if factors is not None else ones(params, inputs)
    x = params["C"][inputs].reshape(len(inputs), params["H"].shape[1]) * of_x
    hidden = np.tanh(x @ params["H"].T + params["d"])
    output = params["C"] @ params["P"] if "P" in params else params["U"]
    y = (hidden * of_hidden) @ output.T + params["b"]
    if "W" in params:
        y = y + x @ params["W"].T
    return x, hidden, y


def forward(params, inputs, factors=None):
    """Return x, the hidden activations before dropout, and log-probabilities."""
    x, hidden, y = activations(params, inputs, factors)
    y = y - y.max(axis=1, keepdims=True)
    return x, hidden, y - np.log(np.exp(y).sum(axis=1, keepdims=True))


def probabilities(params, contexts):
    return np.exp(forward(params, contexts)[2])


def losses(params, inputs, targets, factors=None):
    return -forward(params, inputs, factors)[2][np.arange(len(targets)), targets]


def mean_loss(params, inputs, targets, factors=None):
    return losses(params, inputs, targets, factors).mean()


def gradients(params, inputs, targets, factors=None):
    """Return the loss and the gradient of every parameter."""
    x, hidden, log_p = forward(params, inputs, factors)
    of_x, of_hidden = factors if factors is not None else ones(params, inputs)
    rows = np.arange(len(targets))
    dy = np.exp(log_p)
    dy[rows, targets] -= 1
    dy /= len(targets)
    kept = hidden * of_hidden
    found = {"C": np.zeros_like(params["C"]), "b": dy.sum(axis=0)}
    if "P" in params:
        dz = dy @ params["C"]
        found["C"] += dy.T @ (kept @ params["P"].T)
        found["P"] = dz.T @ kept
        da = dz @ params["P"]
    else:
        found["U"] = dy.T @ kept
        da = dy @ params["U"]
    da = da * of_hidden * (1 - hidden**2)
    dx = da @ params["H"]
    found.update(H=da.T @ x, d=da.sum(axis=0))
    if "W" in params:
        dx = dx + dy @ params["W"]
        found["W"] = dy.T @ x
    np.add.at(found["C"], inputs, (dx * of_x).reshape(*inputs.shape, -1))
    return -log_p[rows, targets].mean(), found


# Optimisers, as PyTorch's documentation writes them -----------------------------------------------


def update(rule, params, state, grads, inputs, *step):
    """Make a step by one of the rules below; of C, unless tied, only the rows in the inputs."""
    if "P" in params:
        rule(params, state, grads, *step)
        return
    rows = np.unique(inputs)
    sets = [params, *state, grads]
    some = [{name: a[rows] if name == "C" else a for name, a in s.items()} for s in sets]
    rule(some[0], some[1:-1], some[-1], *step)
    for whole, part in zip(sets, some, strict=True):
        whole["C"][rows] = part["C"]


def sgd(params, _state, grads, _step, rate, decay, _constants):
    for name, p in params.items():
        p -= rate * (grads[name] + (decay * p if name in WEIGHTS else 0))


def momentum(params, state, grads, _step, rate, decay, constants):
    for name, p in params.items():
        velocity = state[0][name]
        velocity *= constants["momentum"]
        velocity += grads[name] + (decay * p if name in WEIGHTS else 0)
        p -= rate * velocity


def adamw(params, state, grads, step, rate, decay, constants):
    first, second = constants["betas"]
    for name, p in params.items():
        m, v, g = state[0][name], state[1][name], grads[name]
        if name in WEIGHTS:
            p *= 1 - rate * decay
        m *= first
        m += (1 - first) * g
        v *= second
        v += (1 - second) * g * g
        unbiased_m = m / (1 - first ** (step + 1))
        unbiased_v = v / (1 - second ** (step + 1))
        p -= rate * unbiased_m / (np.sqrt(unbiased_v) + constants["eps"])


OPTIMIZERS = {"sgd": (sgd, 0), "momentum": (momentum, 1), "adamw": (adamw, 2)}


# The generator: xoshiro256++ seeded by SplitMix64 -------------------------------------------------

MASK = 2**64 - 1


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def batch_of(seed, step, size, examples):
    """Draw the numbers of a mini-batch; so few examples that Lemire's rejection never happens."""
    state = [mix((seed + mix(step) + i * 0x9E3779B97F4A7C15) & MASK) for i in (1, 2, 3, 4)]
    numbers = []
    for _ in range(size):
        a, b, c, d = state
        total = (a + d) & MASK
        result = (((total << 23) | (total >> 41)) + a) & MASK
        c, d = c ^ a, d ^ b
        state = [a ^ d, b ^ c, c ^ (b << 17 & MASK), ((d << 45) | (d >> 19)) & MASK]
        numbers.append(result * examples >> 64)
    return np.array(numbers)


def stream(seeds, number):
    """Give the starts of the generators that are looked up; all arguments may be arrays."""
    mixed = mix_all(seeds + np.uint64(0x9E3779B97F4A7C15))
    return mix_all(mixed + np.uint64(number))


def at(start, step):
    return mix_all(start + np.uint64(0x9E3779B97F4A7C15) * (step + np.uint64(1)))


def mix_all(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def dropout_factors(shares, seed, step, examples, widths):
    """Give the factors of x and of the hidden layer that a seed and a step decide."""
    examples = np.arange(examples, dtype=np.uint64)
    found = []
    with np.errstate(over="ignore"):
        seeds = at(stream(np.array([seed], np.uint64), step), examples)
        for layer, (share, width) in enumerate(zip(shares, widths, strict=True)):
            features = np.arange(width, dtype=np.uint64)
            numbers = at(stream(seeds, layer)[:, None], features >> np.uint64(1))
            halves = numbers >> (features % np.uint64(2) * np.uint64(32)) & np.uint64(2**32 - 1)
            found.append((halves >= int(share * 2**32)) / (1 - share))
    return found
