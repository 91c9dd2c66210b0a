"""micrograd's demo as a user of JAX writes it: arrays, one compiled function a step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from measure import Clock

# The precision of the others. It must be set before the first array is made.
jax.config.update("jax_enable_x64", True)

STEPS_A_SAMPLE = 20


class JaxStep:
    """A training run whose steps are timed twenty at a time, waiting for the last result only."""

    def __init__(
        self,
        name: str,
        points: Any,
        labels: Any,
        layers: list,
        rate: Callable[[int], float],
        penalty: float,
    ) -> None:
        self.name = name
        self.layers = [(jnp.array(weights), jnp.array(biases)) for weights, biases in layers]
        self.losses: list[float] = []
        self.done = 0
        self.rate = rate
        self.step = jax.jit(training_step(jnp.array(points), jnp.array(labels), penalty))

    def sample(self, clock: Clock) -> float:
        losses = []
        with clock:
            for _ in range(STEPS_A_SAMPLE):
                loss, self.layers = self.step(self.layers, self.rate(self.done))
                losses.append(loss)
                self.done += 1
            jax.block_until_ready(self.layers)
        self.losses += [float(loss) for loss in losses]
        return clock.seconds / STEPS_A_SAMPLE


def loss_of(points: Any, labels: Any, penalty: float) -> Callable:
    def loss(layers: list) -> Any:
        x = points
        for weights, biases in layers[:-1]:
            x = jax.nn.relu(x @ weights.T + biases)
        weights, biases = layers[-1]
        scores = (x @ weights.T + biases)[:, 0]
        squares = sum((array**2).sum() for layer in layers for array in layer)
        return jax.nn.relu(1 - labels * scores).mean() + penalty * squares

    return loss


def training_step(points: Any, labels: Any, penalty: float) -> Callable:
    loss_and_gradients = jax.value_and_grad(loss_of(points, labels, penalty))

    def step(layers: list, rate: float) -> tuple[Any, list]:
        loss, gradients = loss_and_gradients(layers)
        return loss, jax.tree.map(lambda p, g: p - rate * g, layers, gradients)

    return step
