"""From counting pairs to a neural network, in the steps of makemore, parts 1 and 2.

Read it from top to bottom, or run it: `python examples/from_bigram_to_nplm.py [names.txt]`. Each
`# %%` starts a cell where an editor knows notebooks. It takes about a minute; `--quick` takes a
second, with losses to match. The numbers in the comments are those of the lecture's own names.txt;
without a file the names are those that fastgrad carries, and the numbers a little different.
"""

# %% The text: names, split as in the lecture into 80 % to train on, 10 % to choose by (dev), and
# 10 % that nobody looks at until the end (test).
import argparse
import math
import sys

import fastgrad
from fastgrad import NPLM, BigramModel, NeuralBigram, NgramModel, Vocab
from fastgrad.text import build_dataset, read_lines, split
from fastgrad.training import lr_find

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("file", nargs="?", help="names, one a line (default: those of fastgrad)")
parser.add_argument("--quick", action="store_true", help="a hundredth of the steps: a second")
# A notebook's arguments are not for this program.
options = parser.parse_args([] if "ipykernel" in sys.modules else None)
SHORTER = 100 if options.quick else 1

names = read_lines(options.file) if options.file else fastgrad.datasets.names()
vocab = Vocab.from_texts(names)
train, dev, test = split(names, method="makemore")
losses = {}


def note(name, model):
    """Print and remember the losses of a model."""
    losses[name] = model.loss(train), model.loss(dev)
    print(f"{name:<44} train {losses[name][0]:.4f}   dev {losses[name][1]:.4f}")


print(f"{len(names):,} names, {len(vocab)} tokens: {''.join(vocab.itos)}")

# %% Knowing nothing, all tokens are as likely: ln 27 = 3.2958 nats per token.
print(f"{'a uniform guess':<44} {math.log(len(vocab)):.4f}")

# %% Part 1: count which letter follows which. 2.45 is as well as one letter of context can do.
note("bigrams, counted", BigramModel(smoothing=1.0).fit(train))

# %% The same model as a network: one-hot input, one layer of weights, softmax. Trained, it finds
# the counts again.
note("bigrams, a network", NeuralBigram().fit(train, l2=0.0, steps=1000 // SHORTER))

# %% Two letters of context: counts become rare, and dev parts from train.
note("trigrams, counted", NgramModel(order=3, smoothing=1.0).fit(train))

# %% Part 2: each letter becomes a few numbers, which the network learns. Contexts and what follows
# them, as in the lecture:
contexts, following = build_dataset(train[:1], vocab, context_length=3)
for context, target in zip(contexts, following, strict=True):
    print(f"  {vocab.decode(context)} --> {vocab.decode([target])}")

# %% The first network of the lecture: 3,481 parameters, two numbers a letter, 100 hidden units, all
# weights plainly normal. Before any training it is confidently wrong.
small = NPLM(vocab, context_length=3, embedding_dim=2, hidden_dim=100, init="normal", seed=1)
print(small)
note("NPLM, 2 dimensions, untrained", small)

# %% Which learning rate? Try all from 0.001 to 1, one a step, and look where the loss is lowest:
# near 0.1. (`fastgrad.plots.lr_curve` draws it.)
sweep = lr_find(small, train, min_lr=1e-3, max_lr=1.0, steps=1000, batch_size=32)
print(f"the lowest loss is near a learning rate of {sweep.best():.2f}")

# %% 40,000 steps at that learning rate, then 10,000 at a tenth: train and dev 2.34, better
# than bigrams.
steps = 50_000 // SHORTER
lrs = [(0, 0.1), (steps * 4 // 5, 0.01)]
small.fit(train, dev, steps=steps, lr=lrs, batch_size=32, seed=1)
note("NPLM, 2 dimensions, 100 hidden", small)
print("most similar to a:", ", ".join(token for token, _ in small.most_similar("a", 4)))

# %% Ten dimensions and 200 hidden units, 11,897 parameters, 200,000 steps: train 2.13, dev 2.18;
# the lecture has 2.13 and 2.17.
steps = 200_000 // SHORTER
lrs = [(0, 0.1), (steps // 2, 0.01)]
larger = NPLM(vocab, context_length=3, embedding_dim=10, hidden_dim=200, init="normal", seed=1)
larger.fit(train, dev, steps=steps, lr=lrs, batch_size=32, seed=1)
note("NPLM, 10 dimensions, 200 hidden", larger)

# %% The same, its weights scaled to their inputs: no step is lost on unlearning. Train 2.04, dev
# 2.10, where the lecture has 2.04 and 2.10 as well.
scaled = NPLM(vocab, context_length=3, embedding_dim=10, hidden_dim=200, init="scaled", seed=1)
note("... scaled, untrained", scaled)
scaled.fit(train, dev, steps=steps, lr=lrs, batch_size=32, seed=1)
note("... scaled", scaled)

# %% Eight letters of context, a better optimizer, a learning rate that falls along a cosine, and
# weights that decay: train 1.89, dev 2.00.
steps = 20_000 // SHORTER
best = NPLM(vocab, context_length=8, embedding_dim=16, hidden_dim=300, seed=1)
best.fit(
    train,
    dev,
    steps=steps,
    batch_size=128,
    optimizer="adamw",
    lr=fastgrad.optim.schedules.cosine(0.003, 0.0, steps),
    weight_decay=0.05,
    seed=1,
)
note("NPLM, context 8, AdamW", best)

# %% At last the test part, which nothing was chosen by, and names that nobody has been given.
print(f"{'on the test part':<44} {best.loss(test):.4f}")
known = set(names)
for name in best.sample(10, seed=2):
    print(f"  {name}{'' if name in known else '   (new)'}")
