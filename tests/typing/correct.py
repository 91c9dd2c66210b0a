"""What users write: type checkers in strict mode report nothing here. It is never run."""

import json
import math
import random
from pathlib import Path

import fastgrad
import numpy as np
from fastgrad import (
    MLP,
    NPLM,
    SGD,
    Adam,
    AdamW,
    BigramModel,
    InterpolatedTrigram,
    KneserNey,
    Layer,
    Mixture,
    Module,
    NeuralBigram,
    Neuron,
    NgramCounts,
    NgramModel,
    Value,
    Vocab,
    WordNPLM,
    WordVocab,
    jit,
    load,
    pick,
    take,
)
from fastgrad.base import LanguageModel
from fastgrad.datasets import make_moons, names, shakespeare
from fastgrad.engine import cross_entropy, dot, softmax
from fastgrad.models import CharacterModel, WordModel
from fastgrad.nn import hinge_loss, mse_loss
from fastgrad.optim import clip_grad_norm
from fastgrad.optim.schedules import cosine, warmup_cosine
from fastgrad.plots import (
    bigram_heatmap,
    decision_boundary,
    embedding_scatter,
    loss_curve,
    lr_curve,
)
from fastgrad.sampling import novelty, sample
from fastgrad.text import build_dataset, read_lines, read_words, split
from fastgrad.training import History, Progress, lr_find
from fastgrad.viz import draw_dot
from matplotlib import pyplot
from matplotlib.axes import Axes
from numpy.typing import NDArray

# Values.
a = Value(-4.0)
b = Value(2, label="b")
c = a + b * 2 - 1 / b + b**3 + 2**b + (-a).relu() + abs(a)
c += 1
c.backward()
slope: float = a.grad
number: float = c.item()
print(f"{c:.3f}", c.data, math.exp(c.data), a == b, {a, b})
a.data -= 0.1 * a.grad
a.label = "a"
a.m = 0.0
a.m = 0.9 * a.m + a.grad
a.note = "a word of one's own"


def rule() -> None:
    a.grad += 2.0


c._backward = rule
root: Value = sum([a, b, c], Value(0.0))
total: Value = fastgrad.engine.sum([a, b, 1.0])
probs: list[Value] = softmax([a, b, 0.0])
nll: Value = cross_entropy(probs, 1) + dot([a, b], [1.0, 2.0])
graph = draw_dot(nll)


class Count(Value):
    """A Value that counts."""

    calls: int = 0

    def relu(self) -> Value:
        """Count, and do what a Value does."""
        self.calls += 1
        return super().relu()


# Networks of Values.
random.seed(1337)


class Scale(Module):
    """A module of one's own."""

    def __init__(self) -> None:
        """Start at 2."""
        self.factor = Value(2.0)

    def parameters(self) -> list[Value]:
        """Return the one parameter."""
        return [self.factor]


X, y = make_moons(n_samples=100, noise=0.1, random_state=1)
mlp = MLP(2, [16, 16, 1], activation="tanh")
neuron = Neuron(2, nonlin=False)
layer = Layer(2, 3, activation="relu")
out: Value = neuron([1.0, Value(2.0)])
wide: list[Value] = layer(X[0])
optimizer = SGD(mlp.parameters(), lr=lambda step: 1.0 - 0.9 * step / 100, momentum=0.9)
adam = Adam(mlp.parameters(), lr=0.01, betas=(0.9, 0.95))
adamw = AdamW(mlp.parameters(), lr=cosine(0.1, 0.0, steps=100), weight_decay=0.1)
for step in range(2):
    scores: list[Value] = mlp(X)
    loss = hinge_loss(scores, (2 * y - 1).tolist()) + 1e-4 * dot(mlp.parameters(), mlp.parameters())
    optimizer.zero_grad()
    loss.backward()
    norm: float = clip_grad_norm(mlp.parameters(), 1.0)
    optimizer.step()
    adam.step(lr=0.1)
    adam.lr = 0.5 * 0.01
    print(step, loss.data, optimizer.steps)
single: Value = mlp([0.5, 1])
squares: Value = mse_loss(mlp([[0.0, 1.0], [1.0, 0.0]]), [1.0, -1.0])
state: dict[str, float] = mlp.state_dict()
Path("mlp.json").write_text(json.dumps(state))
mlp.load_state_dict(state)
optimizer.load_state_dict(optimizer.state_dict())
mlp.save("mlp.json")
same: MLP = MLP(2, [16, 16, 1]).load(Path("mlp.json"))

# Characters.
words = names()
train, dev, test = split(words)
counts = NgramCounts(words, order=2)
em: int = counts["em"] + counts["e", "m"]
N: NDArray[np.integer] = counts.N
for gram, times in counts.most_common(5):
    print(gram, times + 1)
bigram = BigramModel(smoothing=0.5).fit(train)
trigram = NgramModel(order=3).fit("names.txt", threads=2)
counted = NgramModel(order=2).fit(counts)
row: NDArray[np.float64] = bigram.next_probs("e")
rows: NDArray[np.float64] = bigram.next_probs(["e", "m"])
more: NDArray[np.float64] = bigram.next_probs(np.zeros((4, 1), dtype=np.uint32))
quality: tuple[float, float, float] = (
    bigram.loss(dev),
    bigram.perplexity(counts),
    bigram.log_prob("emma"),
)
drawn: list[str] = bigram.sample(n=10, seed=None, temperature=0.8, top_k=5, top_p=0.9, prompt="a")
print(bigram.P[1, 2], bigram.num_parameters(), bigram.config["smoothing"], bigram.vocab.stoi["e"])
neural = NeuralBigram().fit(train, steps=100, lr=50.0)
print(neural.W.shape, neural.history)

vocab = Vocab.from_texts(train)
inputs, targets = build_dataset(train, vocab, 3)


def watch(progress: Progress) -> bool:
    """Stop early."""
    print(progress.step, progress.loss, progress.dev_loss)
    return progress.loss < 2.0


model = NPLM(context_length=3, embedding_dim=10, hidden_dim=200, dtype="float64").fit(
    train,
    dev,
    steps=100,
    lr=0.1,
    batch_size=32,
    optimizer="momentum",
    callbacks=[watch, print],
    checkpoint=Path("run"),
)
other = NPLM(vocab, seed=1).fit((inputs, targets), epochs=0.5, lr=[(0, 0.1), (50, 0.01)])
other = other.fit(b"emma\nava", lr=warmup_cosine(0.1, 100, 10), steps=100, optimizer="adamw")
history: History = model.history
losses: NDArray[np.float64] = history.loss
similar: list[tuple[str, float]] = model.most_similar("e", k=3)
model.C[0] = 0.0
norms = np.linalg.norm(model.C, axis=1) + model.H.sum() + model.d[0]
print(model.loss((inputs, targets)), model.perplexity(dev), model.token_log_probs(dev).sum())
sweep = lr_find(NPLM(), train, 1e-3, 1.0, steps=100, batch_size=32)
best: float = sweep.best()
resumed: NPLM = NPLM.resume("run", train, dev, steps=200, lr=0.01)
model.save("out/")
again: NPLM = NPLM.load("out")
any_model = load("out")
print(any_model.sample(3, seed=1), any_model.perplexity(dev))
print(novelty(sample(model, 100, prompt="em"), words).new)


def compare(models: list[LanguageModel], texts: list[str]) -> list[float]:
    """Return the perplexity of each model."""
    return [each.perplexity(texts) for each in models]


def tell(told: CharacterModel) -> str:
    """Return a name."""
    return told.sample(1)[0]


compare([bigram, trigram, neural, model], dev)
tell(bigram)

# Words.
text = read_words(shakespeare(), vocab_size=5000, eos="line")
first, second, third = text.split(0.8, 0.1)
word_vocab: WordVocab = text.vocab
word_model = WordNPLM(context_length=5, embedding_dim=60, hidden_dim=50).fit(
    first, second, epochs=0.1, patience=3
)
WordNPLM().fit("book.txt")
kneser_ney = KneserNey(order=5, modified=True).fit(first)
interpolated = InterpolatedTrigram().fit(first, second)
mixture = Mixture([kneser_ney, interpolated, word_model], weights=[0.5, 0.25, 0.25]).fit(second)
ids: NDArray[np.uint32] = word_vocab.encode("to be or not to be")
print(mixture.loss(third), mixture.weights, mixture.sample(2, max_length=20))
print(word_model.loss(third), word_model.perplexity(third), kneser_ney.perplexity(third))
print(word_model.next_probs("to be").argmax(), word_vocab.decode(ids), text.counts, text.unk_rate)
lr_find(word_model, first)


def tell_word(told: WordModel) -> str:
    """Return a text."""
    return told.sample(1, unk=True)[0]


tell_word(kneser_ney)

# Pictures.
figure, (left, right) = pyplot.subplots(1, 2)
axes: Axes = bigram_heatmap(counts)
bigram_heatmap(bigram, path="heat.png")
loss_curve(model, ax=left, log_steps=True)
loss_curve(model.history)
loss_curve({"train": [3.0, 2.0], "dev": np.array([3.0, 2.5])}, goal=2.1)
lr_curve(sweep, ax=right)
embedding_scatter(model, path=Path("C.png"))
decision_boundary(mlp, X, y)
decision_boundary(lambda point: point[0] - 0.5, [[0, 1], [1, 0]], [0, 1])

fastgrad.set_num_threads(2)
print(read_lines("names.txt")[:2], fastgrad.get_num_threads(), fastgrad.__version__)

# Recorded functions.
slope_of, table = Value(2.0), [[Value(1.0), Value(2.0)]]


@jit
def recorded(x: float, symbol: int) -> Value:
    return slope_of * x + pick(take(table, symbol), 1)


recorded(1.0, 0).backward()
mean: float = recorded.value_and_grad(np.ones(3), np.zeros(3))
trained: History = recorded.fit(
    (np.ones(3), np.zeros(3)), steps=10, optimizer=SGD([slope_of], lr=0.1), batch_size=2
)
print(recorded.program, recorded.program.to_c("recorded"), recorded.parameters())
recorded.save("recorded.safetensors")


@jit(check=True, dtype="float32")
def checked(x: float) -> Value:
    return slope_of * x


checked(2.0).backward()
