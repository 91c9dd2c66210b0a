"""The neural probabilistic language model twice: scalar by scalar, and in plain numpy.

Both from the paper's formula y = b + W·x + U·tanh(d + H·x) (Bengio et al. 2003), x being the rows
of C of a context side by side, with the mean of -ln softmax(y)[target] as the loss.
"""

import numpy as np

WEIGHTS = ("C", "H", "U", "W")


def shapes(vocabulary, context, features, hidden, direct):
    """List the parameters' shapes."""
    inputs = context * features
    found = {
        "C": (vocabulary, features),
        "H": (hidden, inputs),
        "d": (hidden,),
        "U": (vocabulary, hidden),
        "b": (vocabulary,),
    }
    return {**found, "W": (vocabulary, inputs)} if direct else found


def random_params(rng, sizes, dtype=np.float64, scale=0.5):
    """Draw parameters for the sizes that `shapes` takes."""
    return {k: (scale * rng.standard_normal(s)).astype(dtype) for k, s in shapes(*sizes).items()}


def random_examples(rng, count, vocabulary, context):
    """Draw contexts and targets."""
    inputs = rng.integers(vocabulary, size=(count, context), dtype=np.uint32)
    return inputs, rng.integers(vocabulary, size=count, dtype=np.uint32)


# Scalar by scalar ---------------------------------------------------------------------------------


def value_loss(engine, params, inputs, targets):
    """Write the network with the Values of an engine; return the loss and Values by parameter."""
    made = {
        name: np.array([engine.Value(x) for x in array.ravel().tolist()] or [], object).reshape(
            array.shape
        )
        for name, array in params.items()
    }
    losses = [
        value_example(made, context, target)
        for context, target in zip(inputs.tolist(), targets.tolist(), strict=True)
    ]
    return sum(losses[1:], losses[0]) / len(losses), made


def value_example(made, context, target):
    """Give one example's -ln softmax(y)[target], shifted by the largest logit as a number."""
    x = [feature for symbol in context for feature in made["C"][symbol]]
    hidden = [
        sum((w * v for w, v in zip(row, x, strict=True)), bias).tanh()
        for row, bias in zip(made["H"], made["d"], strict=True)
    ]
    logits = []
    for symbol, bias in enumerate(made["b"]):
        y = sum((u * a for u, a in zip(made["U"][symbol], hidden, strict=True)), bias)
        if "W" in made:
            y = sum((w * v for w, v in zip(made["W"][symbol], x, strict=True)), y)
        logits.append(y)
    largest = max(y.data for y in logits)
    shifted = [y - largest for y in logits]
    return sum((y.exp() for y in shifted[1:]), shifted[0].exp()).log() - shifted[target]


def value_gradients(engine, params, inputs, targets):
    """Return the loss and an array of gradients for each parameter."""
    loss, made = value_loss(engine, params, inputs, targets)
    loss.backward()
    gradients = {
        name: np.array([v.grad for v in values.ravel()], float).reshape(values.shape)
        for name, values in made.items()
    }
    return loss.data, gradients


# In numpy -----------------------------------------------------------------------------------------


def forward(params, inputs):
    """Return x, the hidden activations, and log-probabilities."""
    x = params["C"][inputs].reshape(len(inputs), params["H"].shape[1])
    hidden = np.tanh(x @ params["H"].T + params["d"])
    y = hidden @ params["U"].T + params["b"]
    if "W" in params:
        y = y + x @ params["W"].T
    y = y - y.max(axis=1, keepdims=True)
    return x, hidden, y - np.log(np.exp(y).sum(axis=1, keepdims=True))


def probabilities(params, contexts):
    return np.exp(forward(params, contexts)[2])


def mean_loss(params, inputs, targets):
    return -forward(params, inputs)[2][np.arange(len(targets)), targets].mean()


def gradients(params, inputs, targets):
    """Return the loss and the gradient of every parameter."""
    x, hidden, log_p = forward(params, inputs)
    rows = np.arange(len(targets))
    dy = np.exp(log_p)
    dy[rows, targets] -= 1
    dy /= len(targets)
    dz = (dy @ params["U"]) * (1 - hidden**2)
    dx = dz @ params["H"]
    found = {"H": dz.T @ x, "d": dz.sum(axis=0), "U": dy.T @ hidden, "b": dy.sum(axis=0)}
    if "W" in params:
        dx = dx + dy @ params["W"]
        found["W"] = dy.T @ x
    found["C"] = np.zeros_like(params["C"])
    np.add.at(found["C"], inputs, dx.reshape(*inputs.shape, -1))
    return -log_p[rows, targets].mean(), found


# Optimisers, as PyTorch's documentation writes them -----------------------------------------------


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
