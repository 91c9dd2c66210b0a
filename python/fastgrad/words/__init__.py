r"""Text of words: running text as an array of ids, and the vocabulary that they stand for.

A *source* is what it is everywhere in the package: a path, "-" for standard input, `bytes`, or an
iterable of `str`, each a line. A path that ends in `.gz` is unpacked on the way. The text is read
in pieces and kept as numbers only, so that a file of any size needs four bytes a token and room for
each distinct one.

Words, and whatever else a *token* is, come from lines in one of two ways (`tokenizer`):

- "space": tokens are separated by whitespace; for text that is tokenised already.
- "simple": a token is a longest run of letters and digits, in which single apostrophes and hyphens
  may stand between two of them. Every other character that is not whitespace is a token of its own.
  Combining marks (Unicode's category M), zero-width joiners and non-joiners, and soft hyphens count
  as letters, the non-breaking hyphen U+2011 as a hyphen. Scripts that put no spaces between words,
  such as Thai, Khmer, Burmese and Chinese, are not cut: what stands between two spaces is a token.

>>> from fastgrad.words import read_words
>>> text = read_words(b"the cat sat on the mat\nthe end", train=6, max_size=4)
>>> text
WordText(8 tokens, |V| = 4, 37.5% rare)
>>> text.vocab.symbols
('<rare>', 'the', 'cat', 'sat')
>>> text.ids.tolist()
[1, 2, 3, 0, 1, 0, 1, 0]
>>> train, test = text.split(6)
>>> test.decode()
'the <rare>'
"""

from .text import WordText, read_words
from .vocab import WordVocab

__all__ = ["WordText", "WordVocab", "read_words"]
