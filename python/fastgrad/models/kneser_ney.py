"""Kneser-Ney smoothing of n-grams of words."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from .. import _core
from .._checks import shorten, whole
from .._defaults import KNESER_NEY_MODIFIED, KNESER_NEY_ORDER
from .._hints import hint_names
from ..text import WordVocab
from ._counted import CountedModel
from .word_model import text_to_learn

if TYPE_CHECKING:
    from typing import Self

    from .word_model import WordTexts


class DiscountWarning(UserWarning):
    """Some of the discounts of Kneser-Ney smoothing cannot be estimated from a text."""


class KneserNey(CountedModel):
    """Interpolated Kneser-Ney smoothing of orders 2 to 5.

    With c how often an n-gram occurs, or for all but the longest n-grams how many different words
    occur in front of it (the beginning of the text is none), h a context, and h' the context
    without its first word:

        p(w | h) = max(c(h w) - D, 0) / c(h ·) + D N(h ·) / c(h ·) · p(w | h')

    c(h ·) sums over all words, N(h ·) counts those seen after h; below order 1 stands 1/V. Each
    order has its discount D = n1 / (n1 + 2 n2), n_i the number of its n-grams with count i. The
    modified form has three of them, for the counts 1, 2, and 3 or more: 1 - 2D n2/n1, 2 - 3D n3/n2,
    3 - 4D n4/n3. A text may have too few n-grams for that: n1, in the modified form n1, n2 or n3,
    is 0, or a discount is not positive. Such an order has the discount 1/2, or 1/2, 1 and 3/2, as
    with `lmplz --discount_fallback` of KenLM, and `fit` says so with a `DiscountWarning`.

    The text runs on over lines. With `sentences` each line or paragraph, whatever has an end token
    at its end, is a sentence of its own, as for KenLM and SRILM: in front of its first word stands
    the end token, there <s>, and nothing else, and no n-gram reaches beyond the one at its end,
    there </s>.
    In front of n-grams that begin with <s> never stands a word; they count as often as they occur.

    Kneser & Ney, "Improved backing-off for m-gram language modeling" (1995), in the interpolated
    form of Chen & Goodman, "An empirical study of smoothing techniques for language modeling"
    (1999).

    `vocab` is the vocabulary; where it is None, `fit` takes that of its text. Raises `ValueError`
    for an order that is not 2 to 5.

    >>> from fastgrad.text import read_words
    >>> text = read_words(b"the cat sat on the mat and the dog sat on the cat")
    >>> train, test = text.split(9)
    >>> model = KneserNey(order=3, modified=False).fit(train)
    >>> round(model.perplexity(test), 2)
    7.33
    """

    kind = "kneser-ney"

    @hint_names(discount="modified; discounts are estimated from the text")
    def __init__(
        self,
        order: int = KNESER_NEY_ORDER,
        modified: bool = KNESER_NEY_MODIFIED,
        sentences: bool = False,
        *,
        vocab: WordVocab | None = None,
    ) -> None:
        """Keep the settings."""
        self._order = whole("order", order, least=2)
        if self._order > 5:
            raise ValueError(f"order is {shorten(order)}; expected 2 to 5")
        self.modified = bool(modified)
        super().__init__(vocab, sentences)

    @hint_names(order="order in the constructor", modified="modified in the constructor")
    def fit(self, train: WordTexts) -> Self:
        r"""Count the n-grams of a text and return the model; a second call counts anew.

        Warns with `DiscountWarning` of orders that have fixed discounts. Raises `ValueError` for
        `sentences` of a text without end tokens.

        >>> from fastgrad.text import read_words
        >>> text = read_words(["the cat sat", "the dog ran"], eos="line")
        >>> model = KneserNey(order=2, modified=False, sentences=True).fit(text)
        >>> bool((model.next_probs("the cat sat\n") == model.next_probs("")).all())
        True
        """
        text = text_to_learn(train, self._given)
        self._eos(text)
        before = self._texts, self._vocab
        self._texts, self._vocab = {"train": text}, text.vocab
        try:
            self._fit()
        except BaseException:
            self._texts, self._vocab = before
            raise
        if self._table.fallbacks:
            orders = [_fallback(k, why, self.modified) for k, why in self._table.fallbacks]
            warnings.warn(DiscountWarning("; ".join(orders)), stacklevel=3)
        return self

    def _fit(self) -> None:
        text = self._texts["train"]
        self._core_table = _core.KneserNeyTable(
            text.ids, len(text.vocab), self._order, self.modified, self._eos(text)
        )

    @property
    def order(self) -> int:
        """The length of the longest n-grams."""
        return self._order

    @property
    def context_length(self) -> int:
        """The number of words before the next one that the model looks at: `order` - 1."""
        return self._order - 1

    @property
    def config(self) -> dict[str, Any]:
        """The settings: order, modified, sentences."""
        return {"order": self._order, "modified": self.modified, "sentences": self.sentences}

    @property
    def discounts(self) -> list[tuple[float, float, float]]:
        """For each order from 1 the discounts of the counts 1, 2, and 3 or more."""
        return self._table.discounts

    @property
    def num_ngrams(self) -> list[int]:
        """For each order from 1 the number of distinct n-grams; V for order 1."""
        return self._table.entries

    def num_parameters(self) -> int:
        """Return the number of distinct n-grams of all orders."""
        return sum(self.num_ngrams)

    def __repr__(self) -> str:
        """Show the settings and the number of n-grams."""
        settings = f"order={self._order}" + ", modified=True" * self.modified
        settings += ", sentences=True" * self.sentences
        fitted = "not fitted"
        if self._core_table is not None:
            fitted = f"{self.num_parameters():,} n-grams of {len(self.vocab):,} tokens"
        return f"KneserNey({settings}; {fitted})"


def _fallback(order: int, missing: list[int], modified: bool) -> str:
    """Return why an order has fixed discounts, and which."""
    found = f"no n-gram has the count {' or '.join(map(str, missing))}"
    why = found if missing else "a discount came out as 0 or less"
    return f"order {order}: {why}; discounts are {'0.5, 1 and 1.5' if modified else '0.5'}"
