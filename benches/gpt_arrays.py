"""The GPT of examples/microgpt.py on arrays, as users of JAX and of torch write it.

A mini-batch is `symbols` and `targets` of shape (names, positions), and `shares`: the weight of
each position in the loss, 1 over the name's length, and 0 behind its end.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

BETAS, EPSILON = (0.85, 0.99), 1e-8
HEADS = 4

Batch = tuple[Any, Any, Any]


def batch_of(names: list[list[int]]) -> Batch:
    """Return names of symbols as one mini-batch, padded to the longest."""
    longest = max(map(len, names)) - 1
    symbols, targets = np.zeros((2, len(names), longest), dtype=np.int64)
    shares = np.zeros((len(names), longest))
    for row, name in enumerate(names):
        positions = len(name) - 1
        symbols[row, :positions], targets[row, :positions] = name[:-1], name[1:]
        shares[row, :positions] = 1 / positions
    return symbols, targets, shares


def surprise(weights: dict[str, Any], batch: Batch, mask: Any, functions: Any) -> Any:
    """Return the loss; `functions` has relu, softmax and log_softmax of the library."""
    symbols, targets, shares = batch
    names, positions = symbols.shape

    def norm(x: Any) -> Any:
        return x * ((x * x).mean(-1, keepdims=True) + 1e-5) ** -0.5

    def heads(x: Any) -> Any:
        return x.reshape(names, positions, HEADS, -1).swapaxes(1, 2)

    x = norm(weights["symbol"][symbols] + weights["position"][:positions])
    read = norm(x)
    query, key, value = (heads(read @ weights[name].T) for name in ("query", "key", "value"))
    fit = query @ key.swapaxes(2, 3) / query.shape[-1] ** 0.5 + mask[:positions, :positions]
    taken = (functions.softmax(fit, -1) @ value).swapaxes(1, 2).reshape(x.shape)
    x = taken @ weights["attended"].T + x
    x = functions.relu(norm(x) @ weights["widen"].T) @ weights["narrow"].T + x
    scores = functions.log_softmax(x @ weights["logits"].T, -1)
    rows, columns = np.indices((names, positions))
    return -(scores[rows, columns, targets] * shares).sum() / names


def causal_mask(positions: int = 16) -> Any:
    return np.triu(np.full((positions, positions), -np.inf), 1)


def jax_training(
    numbers: dict[str, Any], batches: list[Batch], rate: Callable[[int], float]
) -> Callable[[int], Any]:
    """Return a function that makes one step, compiled for each shape; nobody waits for its loss."""
    import jax

    jax.config.update("jax_enable_x64", True)
    mask = causal_mask()
    weights = {name: jax.numpy.array(array) for name, array in numbers.items()}
    means = {name: jax.numpy.zeros_like(array) for name, array in weights.items()}
    state = (weights, means, means)
    on_device = [tuple(map(jax.numpy.array, batch)) for batch in batches]

    @jax.jit
    def update(state: Any, batch: Batch, rate: float, step: int) -> Any:
        weights, means, squares = state
        loss, gradients = jax.value_and_grad(surprise)(weights, batch, mask, jax.nn)

        def mix(beta: float, old: Any, new: Any) -> Any:
            return jax.tree.map(lambda a, b: beta * a + (1 - beta) * b, old, new)

        def move(p: Any, mean: Any, square: Any) -> Any:
            mean, square = mean / (1 - BETAS[0] ** step), square / (1 - BETAS[1] ** step)
            return p - rate * mean / (square**0.5 + EPSILON)

        means = mix(BETAS[0], means, gradients)
        squares = mix(BETAS[1], squares, jax.tree.map(lambda g: g * g, gradients))
        return loss, (jax.tree.map(move, weights, means, squares), means, squares)

    def step(number: int) -> Any:
        nonlocal state
        batch = on_device[number % len(on_device)]
        loss, state = update(state, batch, rate(number), float(number + 1))
        return loss

    return step


def torch_training(
    numbers: dict[str, Any], batches: list[Batch], rate: Callable[[int], float]
) -> Callable[[int], Any]:
    """Return a function that makes one step, on one thread."""
    import torch

    torch.set_num_threads(1)
    mask = torch.tensor(causal_mask())
    weights = {name: torch.tensor(array, requires_grad=True) for name, array in numbers.items()}
    optimizer = torch.optim.Adam(weights.values(), betas=BETAS, eps=EPSILON)
    tensors = [tuple(map(torch.from_numpy, batch)) for batch in batches]

    def step(number: int) -> Any:
        optimizer.param_groups[0]["lr"] = rate(number)
        optimizer.zero_grad()
        loss = surprise(weights, tensors[number % len(tensors)], mask, torch.nn.functional)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
