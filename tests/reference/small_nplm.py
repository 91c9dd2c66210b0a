"""A network and a text so small that training takes no time."""

from fastgrad.models import NPLM
from fastgrad.text import Vocab

ALPHABET = Vocab("abcdefghijklmnopqrstuvwxyz")
FEW = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna", "aria", "nova"]
# The network of the lecture "makemore, part 2", and how it is trained.
LECTURE = {"context_length": 3, "embedding_dim": 10, "hidden_dim": 200}
SGD = {"lr": 0.1, "batch_size": 32}


def lecture_model(vocab=ALPHABET, **settings):
    """Return the network of the lecture, or one with other settings."""
    return NPLM(vocab, **LECTURE | settings)


def small_model():
    """Return a model of the few names that trains in no time."""
    return NPLM(Vocab.from_texts(FEW), context_length=2, embedding_dim=4, hidden_dim=12, seed=1)


def arrays(model):
    """Return the parameters of a model by name, in the order of the paper."""
    names = ("C", "H", "d", "U", "P", "b", "W")
    return {name: getattr(model, name) for name in names if hasattr(model, name)}


def same(one, other):
    """Return whether two models have the same parameters, bit for bit."""
    pairs = zip(arrays(one).items(), arrays(other).items(), strict=True)
    return all(a == b and x.tobytes() == y.tobytes() for (a, x), (b, y) in pairs)
