r"""Text as items, characters and ids: reading, vocabularies, splits and windows.

A *source* of text is one of

- a path (`str` or `os.PathLike`), or "-" for standard input,
- `bytes`, which are the text itself,
- an iterable of `str`, each an item.

A text holds one item a line. It is UTF-8, with or without a byte order mark; lines end in LF or
CRLF; whitespace around an item is stripped (as by `str.strip`), and blank lines are ignored.

>>> from fastgrad.text import Vocab, read, windows
>>> items = read(b"emma\r\n\n  olivia\n")
>>> items
['emma', 'olivia']
>>> vocab = Vocab.of(items)
>>> vocab.symbols
('.', 'a', 'e', 'i', 'l', 'm', 'o', 'v')
>>> vocab.encode("emma").tolist()
[2, 5, 5, 1]
>>> contexts, following = windows(["emma"], vocab, context=2)
>>> contexts.tolist()
[[0, 0], [0, 2], [2, 5], [5, 5], [5, 1]]
>>> following.tolist()
[2, 5, 5, 1, 0]
"""

from .reading import NotUtf8Error, Source, name_of, read
from .splits import Split, leaks, repeats, split
from .vocab import BOUNDARIES, UnknownCharacterError, Vocab
from .windows import encode_items, windows

__all__ = [
    "BOUNDARIES",
    "NotUtf8Error",
    "Source",
    "Split",
    "UnknownCharacterError",
    "Vocab",
    "encode_items",
    "leaks",
    "name_of",
    "read",
    "repeats",
    "split",
    "windows",
]
