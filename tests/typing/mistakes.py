"""Mistakes that a type checker finds: each line names the rule that reports it. It is never run."""

from pathlib import Path

import numpy as np
from fastgrad import (
    MLP,
    NPLM,
    SGD,
    BigramModel,
    KneserNey,
    Layer,
    Mixture,
    NgramCounts,
    Value,
    Vocab,
    WordNPLM,
    engine,
    nplm,  # error: reportAttributeAccessIssue, reportUnknownVariableType
)
from fastgrad.nn import Linear  # error: reportAttributeAccessIssue, reportUnknownVariableType
from fastgrad.optim.schedules import cosine
from fastgrad.plots import (
    bigram_heatmap,
    decision_boundary,
    embedding_scatter,
    loss_curve,
    lr_curve,
)
from fastgrad.sampling import sample
from fastgrad.text import build_dataset, read_words
from fastgrad.training import lr_find

train = ["emma", "olivia", "ava"]
print(nplm, Linear)  # error: reportUnknownArgumentType

# Values.
a = Value(2.0)
Value("2.0")  # error: reportArgumentType
Value(2.0, requires_grad=True)  # error: reportCallIssue
b = a + "1"  # error: reportOperatorIssue, reportUnknownVariableType
a.data = "3.0"  # error: reportAttributeAccessIssue
a.backward(retain_graph=True)  # error: reportCallIssue
engine.sum(a)  # error: reportArgumentType
text_of_it: str = a.item()  # error: reportAssignmentType

# Networks of Values.
mlp = MLP(2, [4, 1])
MLP(2, 4)  # error: reportArgumentType
MLP(2, [4, 1], hidden=3)  # error: reportCallIssue
Layer(2, 3, act="tanh")  # error: reportCallIssue
mlp(3)  # error: reportArgumentType
optimizer = SGD(mlp, lr=0.1)  # error: reportArgumentType
SGD(mlp.parameters(), learning_rate=0.1)  # error: reportCallIssue
SGD(mlp.parameters(), lr="fast")  # error: reportArgumentType
optimizer.lr = "fast"  # error: reportAttributeAccessIssue
cosine(0.1, steps=100)  # error: reportCallIssue

# Models of characters.
bigram = BigramModel().fit(train)
model = NPLM(context_length=3).fit(train)
model.sample(temprature=2)  # error: reportCallIssue
model.sample("ten")  # error: reportArgumentType
model.fit(3)  # error: reportArgumentType
model.fit(train, optimizer="adam")  # error: reportArgumentType
model.fit(train, max_steps=100)  # error: reportCallIssue
model.perplexity(model)  # error: reportArgumentType
model.next_probs(3)  # error: reportArgumentType
model.C = np.zeros((27, 10))  # error: reportAttributeAccessIssue
model.block_size  # error: reportAttributeAccessIssue, reportUnknownMemberType  # noqa: B018
NPLM(block_size=3)  # error: reportCallIssue
NPLM(dtype="float16")  # error: reportArgumentType
NPLM(np.zeros(27))  # error: reportArgumentType
bigram.fit(train, epochs=3)  # error: reportCallIssue
bigram.fit((np.zeros((3, 3), np.uint32), np.zeros(3, np.uint32)))  # error: reportArgumentType
lr_find(bigram, train)  # error: reportArgumentType
sample(mlp)  # error: reportArgumentType
NgramCounts(train)[1]  # error: reportArgumentType
build_dataset(train, 27, 3)  # error: reportArgumentType

# Models of words.
WordNPLM(Vocab("abc"))  # error: reportArgumentType
KneserNey(order="5")  # error: reportArgumentType
KneserNey().fit((np.zeros(3, np.uint32), np.zeros(3, np.uint32)))  # error: reportArgumentType
Mixture([bigram, mlp])  # error: reportArgumentType
read_words("book.txt", eos="sentence")  # error: reportArgumentType

# Pictures and files.
embedding_scatter(bigram)  # error: reportArgumentType
bigram_heatmap(mlp)  # error: reportArgumentType
decision_boundary(mlp, [[0.0, 1.0]])  # error: reportCallIssue
loss_curve(model, ax=3)  # error: reportArgumentType
lr_curve(model.history)  # error: reportArgumentType
model.save(3)  # error: reportArgumentType
path: Path = model.save("out")  # error: reportAssignmentType
