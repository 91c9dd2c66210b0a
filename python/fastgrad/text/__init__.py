r"""Text as tokens and ids: reading, vocabularies, splits and datasets.

Wherever a parameter is called `texts`, it takes

- the name of a file (`str` or `os.PathLike`), or "-" for standard input,
- `bytes`, which are the text itself,
- an iterable of `str`.

A text is UTF-8, with or without a byte order mark; lines end in LF or CRLF.

**Characters.** A text holds one item a line, such as a name. Whitespace around an item is stripped
(as by `str.strip`), and blank lines are ignored.

>>> from fastgrad.text import Vocab, build_dataset, read_lines
>>> items = read_lines(b"emma\r\n\n  olivia\n")
>>> items
['emma', 'olivia']
>>> vocab = Vocab.from_texts(items)
>>> vocab.itos
('.', 'a', 'e', 'i', 'l', 'm', 'o', 'v')
>>> vocab.encode("emma").tolist()
[2, 5, 5, 1]
>>> X, Y = build_dataset(["emma"], vocab, context_length=2)
>>> X.tolist(), Y.tolist()
([[0, 0], [0, 2], [2, 5], [5, 5], [5, 1]], [2, 5, 5, 1, 0])

**Words.** A text runs on over its lines. It is read in chunks and kept as ids only, so that a file
of any size needs two or four bytes a token and room for each distinct one; a file whose name ends
in `.gz` is unpacked on the way. `tokenizer` says what a token is:

- "space": tokens are separated by whitespace; for text that is tokenised already.
- "simple": a token is a longest run of letters and digits, in which single apostrophes and hyphens
  may stand between two of them. Every other character that is not whitespace is a token of its own.
  Combining marks (Unicode's category M), zero-width joiners and non-joiners, and soft hyphens count
  as letters, the non-breaking hyphen U+2011 as a hyphen. Scripts that put no spaces between words,
  such as Thai, Khmer, Burmese and Chinese, are not cut: what stands between two spaces is a token.

>>> from fastgrad.text import read_words
>>> text = read_words(b"the cat sat on the mat\nthe end", train=6, vocab_size=4)
>>> text
WordText(8 tokens, |V| = 4, 37.5% unk)
>>> text.vocab.itos
('<unk>', 'the', 'cat', 'sat')
>>> train, test = text.split(6)
>>> test.decode()
'the <unk>'
"""

from typing import TYPE_CHECKING

from .._hints import renamed
from .dataset import build_dataset, encode_items
from .reading import NotUtf8Error, Source, name_of, read_lines
from .splits import Split, count_duplicates, count_overlap, split
from .token_file import open_tokens, write_tokens
from .vocab import EOS_TOKENS, UnknownCharacterError, Vocab
from .word_text import WordText, read_words
from .word_vocab import WordVocab

__all__ = [
    "EOS_TOKENS",
    "NotUtf8Error",
    "Source",
    "Split",
    "UnknownCharacterError",
    "Vocab",
    "WordText",
    "WordVocab",
    "build_dataset",
    "count_duplicates",
    "count_overlap",
    "encode_items",
    "name_of",
    "open_tokens",
    "read_lines",
    "read_words",
    "split",
    "write_tokens",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(
        __name__,
        {
            "windows": "build_dataset",
            "make_dataset": "build_dataset",
            "make_bigrams": "build_dataset",
            "read": "read_lines",
            "load": "read_lines",
            "repeats": "count_duplicates",
            "leaks": "count_overlap",
            "random_split": "split",
            "train_test_split": "split",
            "train_val_test_split": "split",
            "tokenize": "read_words, with a tokenizer",
            "load_words": "read_words",
            "get_batch": "build_dataset",
            "word_tokenize": "read_words(..., tokenizer='simple')",
            "CharTokenizer": "Vocab",
            "padded_everygram_pipeline": "a model's fit, which pads",
            "pad_both_ends": "a model's fit, which pads",
            "ngrams": "fastgrad.NgramCounts",
            "Tokenizer": "Vocab or WordVocab",
            "Vocabulary": "Vocab",
            "build_vocab": "Vocab.from_texts",
        },
    )
