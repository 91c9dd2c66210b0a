"""A training step of the NPLM as users of JAX write it: a compiled function a step, or a scan."""

from typing import Any

import jax
import jax.numpy as jnp


class Run:
    """Parameters and examples on the device."""

    def __init__(self, start: Any, rate: float) -> None:
        self.params = {name: jnp.array(p) for name, p in start.params.items()}
        self.inputs = jnp.array(start.inputs.astype("int32"))
        self.targets = jnp.array(start.targets.astype("int32"))
        self.rate = rate

    def step(self, params: dict, numbers: Any) -> tuple[dict, Any]:
        ids, targets = self.inputs[numbers], self.targets[numbers]

        def loss_of(params: dict) -> Any:
            x = params["C"][ids].reshape(len(numbers), -1)
            a = jnp.tanh(x @ params["H"].T + params["d"])
            log_p = jax.nn.log_softmax(a @ params["U"].T + params["b"])
            return -jnp.take_along_axis(log_p, targets[:, None], axis=1).mean()

        loss, gradients = jax.value_and_grad(loss_of)(params)
        return jax.tree.map(lambda p, g: p - self.rate * g, params, gradients), loss


class StepRun(Run):
    """One call a step; the results are waited for at the end."""

    def __init__(self, start: Any, rate: float) -> None:
        super().__init__(start, rate)
        self.compiled = jax.jit(self.step, donate_argnums=0)

    def __call__(self, _first: int, numbers: Any) -> list:
        losses = []
        for batch in numbers:
            self.params, loss = self.compiled(self.params, batch)
            losses.append(loss)
        jax.block_until_ready(self.params)
        return jnp.stack(losses).tolist()


class ScanRun(Run):
    """All steps in one call."""

    def __init__(self, start: Any, rate: float) -> None:
        super().__init__(start, rate)
        self.compiled = jax.jit(lambda p, numbers: jax.lax.scan(self.step, p, numbers))

    def __call__(self, _first: int, numbers: Any) -> list:
        self.params, losses = self.compiled(self.params, numbers)
        return losses.tolist()
