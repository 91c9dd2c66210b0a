"""Sentences that a network of words can learn, and how much there is to know of them."""

import math

import numpy as np
from fastgrad.models import WordNPLM
from fastgrad.text import read_words

SUBJECTS = ["the cat", "the dog", "a bird", "my friend"]
VERBS = ["sees", "likes", "hears"]


def sentences(count, seed=0):
    """Draw lines that a network can learn: who sees whom, and dogs only hear."""
    draw = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        one, other = (SUBJECTS[i] for i in draw.integers(4, size=2))
        verb = "hears" if one == "the dog" else VERBS[draw.integers(3)]
        lines.append(f"{one} {verb} {other}")
    return lines


def parts():
    """Give text for train, dev and test, with a mark after each line."""
    return read_words(sentences(900), eos="line").split(0.8, 0.1)


def small_model(vocab):
    """Give a model that trains in no time."""
    return WordNPLM(vocab, context_length=3, embedding_dim=6, hidden_dim=16, seed=1)


def entropy():
    """Give the loss that knows how sentences are made, in nats a token: mark, who, verb, whom."""
    verb = 0.75 * math.log(3)
    # After "the" stands "cat" or "dog", so "the" and what follows it are one choice of four.
    return (2 * math.log(4) + verb) / 6
