"""The loss of a text, token by token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._checks import escape, shorten
from .._tables import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Explanation(Table):
    """The loss of each token of a text: text in a terminal, a table in a notebook.

    `tokens` are the T tokens of the text, its end included, `probs` their probabilities and
    `losses` the negative logarithms, in nats, both (T,) float64; `loss` is the mean of these.
    `alternatives` are the most probable tokens in each place, with their probabilities.

    >>> import numpy as np
    >>> Explanation("a", ["a", "."], np.log([0.5, 0.25]), [[("a", 0.5)], [("b", 0.75)]])
    'a': a loss of 1.0397 nats per token
    token  probability    loss  most probable
    a           0.5000  0.6931  a 0.50
    .           0.2500  1.3863  b 0.75
    mean                1.0397
    """

    def __init__(
        self,
        text: str,
        tokens: Sequence[str],
        log_probs: NDArray[np.float64],
        alternatives: Sequence[Sequence[tuple[str, float]]],
    ) -> None:
        """Write the rows."""
        self.tokens = list(tokens)
        self.probs = np.exp(log_probs)
        # The zero turns -0.0, the loss of what is certain, into 0.0.
        self.losses = -log_probs + 0.0
        self.loss = float(self.losses.mean())
        self.alternatives = [list(each) for each in alternatives]
        rows = [
            (_shown(token), f"{prob:.4f}", f"{loss:.4f}", _written(others))
            for token, prob, loss, others in zip(
                self.tokens, self.probs, self.losses, self.alternatives, strict=True
            )
        ]
        title = f"{shorten(text)}: a loss of {self.loss:.4f} nats per token"
        mean = ("mean", "", f"{self.loss:.4f}", "")
        columns = ("token", "probability", "loss", "most probable")
        super().__init__(title, columns, [*rows, mean], "<>><")


def _written(tokens: Sequence[tuple[str, float]]) -> str:
    return "  ".join(f"{_shown(token)} {prob:.2f}" for token, prob in tokens)


def _shown(token: str) -> str:
    """Return a token as something that can be seen."""
    return escape(token).replace(" ", "\N{OPEN BOX}")
