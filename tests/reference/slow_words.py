"""Words as ids with plain lists and dictionaries."""

import unicodedata
from collections import Counter


def slow_tokens(text, tokenizer="space", eos=None):
    """List the tokens of a text, with None for each end token."""
    tokens, open_, blank = [], False, True
    for line in text.split("\n"):
        found = line.split()
        if tokenizer == "simple":
            found = [token for word in found for token in slow_simple(word)]
        blank = not found
        if eos == "paragraph" and blank and open_:
            tokens.append(None)
            open_ = False
        tokens += found
        open_ = open_ or bool(found)
        if eos == "line" and found:
            tokens.append(None)
            open_ = False
    return tokens + [None] * (open_ and eos is not None)


def is_letter(char):
    joins = char in "\u200c\u200d\xad"
    return char.isalnum() or unicodedata.category(char).startswith("M") or joins


def slow_simple(word):
    tokens, open_ = [], False
    for place, char in enumerate(word):
        following = word[place + 1 : place + 2]
        joins = open_ and char in "'\u2019-\u2011" and bool(following) and is_letter(following)
        if open_ and (is_letter(char) or (joins and is_letter(word[place - 1]))):
            tokens[-1] += char
        else:
            tokens.append(char)
            open_ = is_letter(char)
    return tokens


def slow_words(text, train=None, vocab_size=None, min_count=1, tokenizer="space", eos=None):
    """Give tokens_of_ids and ids."""
    tokens = slow_tokens(text, tokenizer, eos)
    first = {}
    for position, token in enumerate(tokens):
        first.setdefault(token, position)
    counts = Counter(token for token in tokens[:train] if token is not None)
    kept = sorted(counts, key=lambda token: (-counts[token], first[token]))
    kept = [token for token in kept if counts[token] >= min_count]
    tokens_of_ids = ["<unk>"] + ["</s>" if eos == "line" else "</p>"] * (eos is not None)
    tokens_of_ids += kept[: None if vocab_size is None else vocab_size - len(tokens_of_ids)]
    ids = {symbol: i for i, symbol in enumerate(tokens_of_ids)}
    return tokens_of_ids, [1 if token is None else ids.get(token, 0) for token in tokens]
