"""Several language models as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._checks import MOST, amount, array, shorten, whole
from .._hints import hint_names
from ..text import Vocab, WordVocab
from ._model import Model, log_of, mean_loss
from .saving import read_note

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from ..base import Texts


class Mixture(Model[Any, "Texts"]):
    """The weighted mean of the distributions of several models.

    The models must be fitted and have the same vocabulary, of characters or of words. `weights` are
    numbers of at least 0 that sum to 1, by default equal; `fit` chooses them on other text. A token
    that one model calls impossible has the others' probability, weighted. Where a model
    with a weight above 0 knows nothing after a context, as an n-gram model without smoothing may,
    there is no distribution: `next_probs` and `sample` raise `ValueError`.

    Raises `TypeError` for what are no models, `ValueError` for fewer than two, different
    vocabularies, and weights out of range.

    >>> from fastgrad.models import KneserNey, Mixture
    >>> from fastgrad.text import read_words
    >>> text = read_words(b"the cat sat on the mat and the dog sat on the mat with the cat")
    >>> train, dev = text.split(9)
    >>> models = [KneserNey(order, modified=False).fit(train) for order in (2, 3)]
    >>> mixture = Mixture(models).fit(dev)
    >>> round(mixture.perplexity(dev), 2)
    8.06
    """

    kind = "mixture"

    @hint_names(weight="weights")
    def __init__(self, models: Sequence[Model[Any]], weights: ArrayLike | None = None) -> None:
        """Keep the models and their weights."""
        if not isinstance(models, (list, tuple)) or not all(isinstance(m, Model) for m in models):
            raise TypeError(f"models is {shorten(models)}; expected a list of language models")
        if len(models) < 2:
            raise ValueError(f"models has {len(models)} of them; expected at least 2")
        first = models[0].vocab
        for position, model in enumerate(models):
            if model.vocab != first:
                raise ValueError(
                    f"models[{position}] has the vocabulary {shorten(model.vocab)}; expected that"
                    f" of models[0], {shorten(first)}"
                )
        self.models = tuple(models)
        self.weights = _checked_weights(weights, len(models))

    @property
    def vocab(self) -> Vocab | WordVocab:
        """The vocabulary of all models."""
        return self.models[0].vocab

    @property
    def context_length(self) -> int:
        """The longest context that one of the models looks at, in tokens."""
        return max(model.context_length for model in self.models)

    @property
    def config(self) -> dict[str, Any]:
        """The weights, and the settings of each model."""
        return {
            "weights": self.weights.tolist(),
            "models": [model.config for model in self.models],
        }

    @hint_names(validation="dev")
    def fit(self, dev: Texts, *, tolerance: float = 1e-9, max_iterations: int = 1000) -> Self:
        """Choose the weights that make a text most likely, and return the mixture.

        Expectation maximisation begins with equal weights and ends once no weight moves by
        `tolerance`.
        """
        logs = np.stack([model.token_log_probs(dev) for model in self.models])
        self.weights = mixture_weights(
            np.exp(logs), tolerance=tolerance, max_iterations=max_iterations
        )
        return self

    def num_parameters(self) -> int:
        """Return how many numbers all models determine, the weights included."""
        return len(self.weights) + sum(model.num_parameters() for model in self.models)

    def _encode_context(self, context: str) -> NDArray[np.uint32]:
        longest = max(self.models, key=lambda model: model.context_length)
        return longest._encode_context(context)

    def _distributions(self, contexts: NDArray[np.uint32]) -> NDArray[np.float64]:
        parts = [model._distributions(model._last(contexts)) for model in self.models]
        for position, (weight, part) in enumerate(zip(self.weights, parts, strict=True)):
            empty = np.flatnonzero(~part.any(axis=1))
            if weight > 0 and len(empty):
                context = contexts[empty[0]].tolist()
                raise ValueError(
                    f"models[{position}] knows no token after the context {shorten(context)};"
                    " expected models with a distribution after every context, as smoothing gives"
                )
        return self._mean(parts)

    def token_log_probs(self, texts: Texts) -> NDArray[np.float64]:
        """Return the natural logarithm of the probability of each token of a text: (T,)."""
        return log_of(self._mean([np.exp(m.token_log_probs(texts)) for m in self.models]))

    def _text_log_probs(self, text: str) -> NDArray[np.float64]:
        return log_of(self._mean([np.exp(m._text_log_probs(text)) for m in self.models]))

    def loss(self, texts: Texts) -> float:
        """Return the mean negative log-likelihood of a text, in nats per token."""
        return mean_loss(self.token_log_probs(texts))

    @hint_names(rare="unk", context="prompt", greedy="temperature=0")
    def sample(
        self,
        n: int = 10,
        *,
        seed: int | None = 0,
        prompt: str = "",
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        max_length: int | None = None,
        offset: int = 0,
        threads: int | None = None,
        progress: bool = False,
        unk: bool = False,
    ) -> list[str]:
        """Return `n` items or texts drawn from the model; see `fastgrad.sampling.sample`."""
        return self._sample(
            n,
            seed=seed,
            prompt=prompt,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            max_length=max_length,
            offset=offset,
            threads=threads,
            progress=progress,
            unk=unk,
        )

    def _to_parts(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        tensors: dict[str, NDArray[Any]] = {"weights": self.weights}
        configs: list[dict[str, Any]] = []
        for i, model in enumerate(self.models):
            arrays, config = model._to_parts()
            tensors |= {f"{i}.{name}": array for name, array in arrays.items()}
            configs.append({"model": model.kind, **config})
        return tensors, {"models": configs}

    @classmethod
    def _from_parts(cls, tensors: dict[str, NDArray[Any]], config: dict[str, Any]) -> Self:
        models: list[Model[Any]] = []
        for i, part in enumerate(config["models"]):
            own = {
                name.removeprefix(f"{i}."): array
                for name, array in tensors.items()
                if name.startswith(f"{i}.")
            }
            models.append(Model.kinds[part["model"]]._from_parts(own, part))
        made = cls(models, tensors["weights"])
        made.note = read_note(config)
        return made

    def __repr__(self) -> str:
        """Show the models and their weights."""
        parts = zip(self.weights, self.models, strict=True)
        return f"Mixture({', '.join(f'{weight:.4f} of {model!r}' for weight, model in parts)})"

    def _mean(self, parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        total = self.weights[0] * parts[0]
        for weight, part in zip(self.weights[1:], parts[1:], strict=True):
            total += weight * part
        return total


def mixture_weights(
    probabilities: NDArray[np.float64], *, tolerance: float = 1e-9, max_iterations: int = 1000
) -> NDArray[np.float64]:
    """Return the weights of models whose weighted mean makes a text most likely: (K, T) to (K,).

    Row k holds the probability of each of T tokens under model k. The weights sum to 1; expectation
    maximisation (Dempster, Laird & Rubin, 1977) finds them, from equal ones, and ends once no
    weight moves by `tolerance`. Tokens that all models call impossible do not count.

    Raises `ValueError` for an array of another shape, or a setting out of range.

    >>> mixture_weights(np.array([[0.5, 0.1, 0.5], [0.1, 0.1, 0.5]])).round(3).tolist()
    [1.0, 0.0]
    """
    tolerance = amount("tolerance", tolerance)
    if probabilities.ndim != 2 or not len(probabilities):
        raise ValueError(
            f"probabilities has shape {probabilities.shape}; expected (K, T), K at least 1"
        )
    # Only the ratios count, and nothing where all are 0.
    total = probabilities.sum(axis=0)
    shares = probabilities[:, total > 0] / total[total > 0]
    weights = np.full(len(shares), 1.0 / len(shares))
    steps = whole("max_iterations", max_iterations, least=1, most=MOST)
    for _ in range(steps if shares.size else 0):
        # The posterior probability of each model, for each token.
        posterior = weights[:, None] * shares
        posterior /= posterior.sum(axis=0)
        before, weights = weights, posterior.mean(axis=1)
        if np.abs(weights - before).max() < tolerance:
            break
    return weights


def _checked_weights(weights: ArrayLike | None, count: int) -> NDArray[np.float64]:
    if weights is None:
        return np.full(count, 1.0 / count)
    found = array("weights", weights, f"{count} numbers", np.float64)
    if found.shape != (count,):
        raise ValueError(f"weights has shape {found.shape}; expected a weight a model, ({count},)")
    if not (np.isfinite(found).all() and (found >= 0).all() and abs(found.sum() - 1) < 1e-9):
        raise ValueError(
            f"weights is {shorten(found.tolist())}; expected numbers of at least 0 that sum to 1"
        )
    return found.copy()
