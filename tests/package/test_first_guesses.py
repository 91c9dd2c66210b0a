"""What people type first: each guess works, or raises an error that names the right word.

A guess is a line or two, run in a namespace of its own after `SETUP`. Its second part is None where
the guess works, otherwise a word of the error message that leads on.
"""

# ruff: noqa: E501, PT011 - a guess is a line, and its error of any type

import pytest

SETUP = """
import copy, json, math, os, pickle, random
import numpy as np
import fastgrad
from fastgrad import *
from fastgrad import datasets, engine, nn, optim, plots, sampling, text, training, viz
names = ["emma", "olivia", "ava", "mia", "isla", "amelia", "mila", "luna", "ella", "noa"]
quick = dict(steps=20, batch_size=4)
small = dict(context_length=2, embedding_dim=3, hidden_dim=5)
words = b"the cat sat on the mat and the dog sat on the cat . " * 10
path = os.path.join(folder, "names.txt")
with open(path, "w") as file:
    file.write("\\n".join(names))
"""

GUESSES = {
    "micrograd": [
        ("from fastgrad.engine import Value\nValue(2.0) * 3 + 1", None),
        ("Value(data=2.0)", None),
        ("a = Value(2.0, label='a')\nassert a.label == 'a'", None),
        ("(Value(2.0) * Value(3.0)).backward()", None),
        (
            "from fastgrad.nn import *\nValue(1.0); random.random(); Neuron(2); Layer(2, 3); MLP(2, [3, 1])",
            None,
        ),
        ("model = MLP(3, [4, 4, 1])\nmodel([2.0, 3.0, -1.0])", None),
        ("assert len(MLP(2, [16, 16, 1]).parameters()) == 337", None),
        ("MLP(2, [3, 1]).zero_grad()", None),
        ("v = Value(1.0) + 2\nassert v._op == '+' and len(v._prev) == 1", None),
        ("out = Value(0.5, (Value(1.0),), 'tanh')\nout._backward = lambda: None", None),
        ("out = Value(0.5, _children=(Value(1.0),), _op='tanh')", None),
        (
            "Value(1.0).tanh(); Value(1.0).exp(); Value(1.0).relu(); Value(1.0).log(); Value(1.0).sigmoid()",
            None,
        ),
        ("sum([Value(1.0), Value(2.0)]) / 2", None),
        ("x = Value(3.0)\nassert x.item() == 3.0", None),
        ("assert f'{Value(3.14159):.3f}' == '3.142'", None),
        ("float(Value(1.0))", ".data"),
        ("Value(1.0) > 0", ".data"),
        ("max(Value(1.0), Value(2.0))", ".data"),
        ("math.exp(Value(1.0))", ".data"),
        ("int(Value(1.0))", ".data"),
        ("round(Value(1.0), 2)", ".data"),
        ("np.array([1.0, 2.0]) * Value(3.0)", None),
        ("Value(1.0, requires_grad=True)", "grad"),
        ("Value('1.0')", "number"),
        ("d = viz.draw_dot(Value(1.0) + 2)\nassert 'digraph' in d.source", None),
        ("MLP(2, [3, 1], nonlin=False)", "activation"),
        ("Neuron(2, nonlin=False)([1.0, 2.0])", None),
    ],
    "microgpt": [
        (
            "t = math.tanh(0.5); x = Value(0.5)\nout = Value(t, (x,), (1 - t * t,))\nout.backward()\nassert x.grad == 1 - t * t",
            None,
        ),
        (
            "v = Value(2.0) * Value(3.0)\nassert len(v._children) == 2 and list(v._local_grads) == [3.0, 2.0]",
            None,
        ),
        ("p = Value(1.0)\np.m = 0.0; p.v = 0.0", None),
        ("engine.softmax([Value(1.0), Value(2.0)])", None),
        ("engine.cross_entropy([Value(1.0), Value(2.0)], 1)", None),
    ],
    "nn and optim, as PyTorch": [
        ("nn.mse_loss([Value(1.0)], [2.0])", None),
        ("nn.hinge_loss([Value(1.0)], [1])", None),
        ("nn.cross_entropy([Value(1.0), Value(0.0)], 0)", None),
        ("nn.mean_squared_error([Value(1.0)], [2.0])", "mse_loss"),
        ("nn.hinge([Value(1.0)], [1])", "hinge_loss"),
        ("nn.MSELoss()", "mse_loss"),
        ("nn.Linear(2, 3)", "Layer"),
        (
            "m = MLP(2, [3, 1])\nstate = m.state_dict()\njson.dumps(state)\nm.load_state_dict(state)",
            None,
        ),
        (
            "m = MLP(2, [3, 1])\nm.save(os.path.join(folder, 'mlp'))\nm.load(os.path.join(folder, 'mlp'))",
            None,
        ),
        ("m = MLP(2, [3, 1])\nassert m.num_parameters() == 13", None),
        (
            "m = MLP(2, [3, 1])\no = optim.Adam(m.parameters(), lr=0.01)\nm([1., 2.]).backward(); o.step(); o.zero_grad()",
            None,
        ),
        ("o = SGD([Value(1.0)], lr=0.1, momentum=0.9)\nassert o.lr == 0.1\no.lr = 0.01", None),
        ("o = Adam([Value(1.0)], lr=0.1)\no.load_state_dict(o.state_dict())", None),
        ("AdamW([Value(1.0)], lr=0.1, weight_decay=0.01, betas=(0.9, 0.95), eps=1e-8)", None),
        ("o = Adam([Value(1.0)])", None),
        ("SGD([Value(1.0)], learning_rate=0.1)", "lr"),
        ("optim.clip_grad_norm([Value(1.0)], 1.0)", None),
        ("nn.clip_grad_norm_([Value(1.0)], 1.0)", "clip_grad_norm"),
        ("optim.schedules.cosine(0.1, 0.0, steps=100)(3)", None),
        ("optim.schedules.linear(0.1, 0.0, steps=100)(3)", None),
        ("optim.schedules.inverse_time_decay(0.1, 0.01)(3)", None),
        ("optim.schedules.warmup_cosine(0.1, steps=100, warmup_steps=10)(3)", None),
        ("optim.cosine(0.1, 0.0, 100)", "schedules"),
        ("optim.lr_scheduler", "schedules"),
        (
            "pickle.loads(pickle.dumps(Adam([Value(1.0)], lr=optim.schedules.cosine(0.1, 0.0, steps=9))))",
            None,
        ),
        ("copy.deepcopy(MLP(2, [3, 1]))", None),
        ("fastgrad.set_num_threads(2)", None),
        ("fastgrad.get_num_threads()", None),
        ("fastgrad.no_grad()", "data"),
        ("fastgrad.tensor([1.0])", "Value"),
    ],
    "scikit-learn": [
        (
            "X, y = datasets.make_moons(n_samples=100, noise=0.1, random_state=0)\nassert set(y.tolist()) == {0, 1}",
            None,
        ),
        ("datasets.make_moons(100)", None),
        ("datasets.moons()", "make_moons"),
        ("NgramModel(order=2).fit(names)", None),
        ("m = NgramModel().fit(names)\nassert m.fit(names) is m", None),
        ("BigramModel().loss(names)", "fit"),
        ("BigramModel().sample()", "fit"),
        ("BigramModel().predict('e')", "next_probs"),
        ("BigramModel().fit(names).predict_proba('e')", "next_probs"),
        ("BigramModel().fit(names).score(names)", "loss"),
        ("BigramModel(alpha=1.0)", "smoothing"),
        ("NgramModel(n=3)", "order"),
        ("NPLM(**small).fit(names, **quick).get_params()", "config"),
    ],
    "makemore": [
        ("c = NgramCounts(names)\nassert c.N.shape == (len(c.vocab),) * 2", None),
        ("c = NgramCounts(names, order=3)", None),
        ("NgramCounts(names).most_common(5)", None),
        ("c = NgramCounts(names)\nc['em']; c['e', 'm']; c['.e']", None),
        ("m = BigramModel(smoothing=1.0).fit(names)\nassert np.allclose(m.P.sum(1), 1)", None),
        ("m = BigramModel().fit(names)\nm.sample(5)", None),
        ("BigramModel().fit(names).sample(n=5, seed=42)", None),
        ("BigramModel().fit(names).sample(num_samples=5)", "n"),
        ("BigramModel().fit(names).generate(5)", "sample"),
        ("BigramModel().fit(names).nll(names)", "loss"),
        ("BigramModel().fit(names).loss(names)", None),
        ("BigramModel().fit(names).perplexity(names)", None),
        ("BigramModel().fit(names).log_prob('emma')", None),
        ("BigramModel().fit(path)", None),
        ("BigramModel().fit('no-such-file.txt')", "file"),
        ("BigramModel.fit(names)", "BigramModel()"),
        ("fastgrad.BigramCounts(names)", "NgramCounts"),
        ("BigramModel(NgramCounts(names))", "fit"),
        ("BigramModel().fit(NgramCounts(names))", None),
        ("BigramModel(order=3)", "NgramModel"),
        ("NeuralBigram().fit(names, steps=10)", None),
        ("NeuralBigram().fit(names, steps=10, lr=50, l2=0.01).W", None),
        ("NeuralBigram().fit(names, steps=10, penalty=0.01)", "l2"),
        ("NeuralBigram().fit(names, steps=10).history.loss", None),
        ("NeuralBigram().fit(names, epochs=10)", "steps"),
        ("v = Vocab.from_texts(names)\nv.stoi['e']; v.itos[1]; list(v); 'e' in v; len(v)", None),
        ("v = Vocab.from_texts(names)\nassert v.decode(v.encode('emma')) == 'emma'", None),
        ("Vocab(names)", "from_texts"),
        ("Vocab.of(names)", "from_texts"),
        (
            "v = Vocab.from_texts(names)\nX, Y = text.build_dataset(names, v, context_length=3)\nassert X.shape[1] == 3",
            None,
        ),
        (
            "v = Vocab.from_texts(names)\ntext.build_dataset(names, v, block_size=3)",
            "context_length",
        ),
        ("text.windows(names, Vocab.from_texts(names), 3)", "build_dataset"),
        ("text.read_lines(path)", None),
        ("text.read(path)", "read_lines"),
        ("train, dev, test = text.split(names)", None),
        ("text.split(names, method='makemore')", None),
        ("text.split(names, method='lecture')", "makemore"),
        ("text.count_duplicates(names)", None),
        ("text.repeats(names)", "count_duplicates"),
        ("datasets.names()", None),
        ("fastgrad.load(BigramModel().fit(names).save(folder) or folder)", None),
        ("pickle.loads(pickle.dumps(BigramModel().fit(names)))", None),
        ("copy.deepcopy(NeuralBigram().fit(names, steps=2))", None),
        ("BigramModel().fit(names).num_parameters()", None),
        ("BigramModel().fit(names).config", None),
        ("assert BigramModel().fit(names).history is None", None),
        ("fastgrad.load_names()", "datasets.names"),
        ("fastgrad.read_words(path)", "text.read_words"),
        ("fastgrad.bigram_counts(names)", "NgramCounts"),
        ("fastgrad.count_matrix(names)", "NgramCounts"),
        ("fastgrad.build_vocab(names)", "Vocab.from_texts"),
        ("P = (NgramCounts(names).N + 1).astype(float)\nP /= P.sum(1, keepdims=True)", None),
        ("np.asarray(NgramCounts(names)) + 1", None),
        ("NgramCounts(names).items()", "num_items"),
        ("fastgrad.Bigram(names)", "BigramModel"),
        ("BigramModel().fit(names).sample(seed=2147483647)", None),
        ("BigramModel(smoothing=0).fit(names).loss(['zzz'])", "not in the vocabulary"),
        ("assert BigramModel(smoothing=0).fit(names).loss(['eee']) == math.inf", None),
        ("fastgrad.make_bigrams(names)", "build_dataset"),
        ("NeuralBigram().train(names, steps=10)", "fit"),
        ("fastgrad.plot_bigrams(NgramCounts(names))", "bigram_heatmap"),
        ("BigramModel().fit(names).plot()", "plots"),
        ("BigramModel().fit(names).N", "counts.N"),
        ("fastgrad.NGram(3, smoothing=0.1)", "NgramModel"),
        ("fastgrad.NGramModel(n=3)", "NgramModel"),
        ("fastgrad.split(names)", "text.split"),
        ("fastgrad.random_split(names, [0.8, 0.1, 0.1])", "text.split"),
        ("fastgrad.train_test_split(names, test_size=0.2)", "text.split"),
        ("text.split(names, (0.8, 0.1, 0.1), seed=42)", None),
        ("text.split(names, [0.8, 0.1, 0.1], seed=42)", None),
        ("text.split(names, test_size=0.2)", "fractions"),
        ("text.split(names, random_state=0)", "seed"),
        ("text.build_dataset(names, block_size=3)", "context_length"),
        ("NeuralBigram(vocab_size=27, reg=0.01)", "vocab"),
        ("NeuralBigram().fit(names, steps=5, reg=0.01)", "l2"),
        ("NeuralBigram().fit(names, steps=5, verbose=True)", "progress"),
        ("NeuralBigram().fit(names, steps=5).parameters()", "W"),
        ("NeuralBigram().fit(names, steps=5).weight", "W"),
        ("NeuralBigram().fit(names, steps=5, lr=1.0).fit(names, steps=5, lr=0.1)", None),
        ("vocab = Vocab.from_texts(names)\nvocab.encode('emma').tolist()", None),
        ("Vocab.from_texts(names).symbols", "itos"),
        ("BigramModel().fit(names).probs('e')", "next_probs"),
        ("dict(zip(*(lambda m: (m.vocab, m.next_probs('e')))(BigramModel().fit(names))))", None),
        ("BigramModel().fit(names).generate(num_samples=20, temperature=0.8)", "sample"),
        ("NgramModel(n=3, alpha=0.5)", "order"),
        ("NgramModel(order=3).fit(names).score('a', ['e', 'm'])", "log_prob"),
        ("NgramModel(order=3).fit(names).counts['em']['a']", "3 tokens"),
        ("fastgrad.ngrams('.emma.', 2)", "NgramCounts"),
        (
            "min([0.01, 0.1, 1, 10], key=lambda s: NgramModel(3, s).fit(names).loss(names[:3]))",
            None,
        ),
        ("BigramModel().fit(names).save_pretrained(folder)", "save"),
    ],
    "NPLM": [
        ("NPLM(**small).fit(names, **quick)", None),
        ("NPLM(context_length=3, embedding_dim=10, hidden_dim=200)", None),
        ("NPLM(Vocab.from_texts(names), **small)", None),
        ("NPLM(vocab=Vocab.from_texts(names), **small)", None),
        ("NPLM(vocab_size=27)", "vocab"),
        ("NPLM(27)", "vocab"),
        ("NPLM(context=3)", "context_length"),
        ("NPLM(block_size=3)", "context_length"),
        ("NPLM(n_embd=10)", "embedding_dim"),
        ("NPLM(embedding=10)", "embedding_dim"),
        ("NPLM(hidden=10)", "hidden_dim"),
        ("NPLM(hidden_size=10)", "hidden_dim"),
        ("NPLM(n_hidden=10)", "hidden_dim"),
        ("NPLM(tied=True)", "tie_weights"),
        ("NPLM(init='lecture')", "normal"),
        ("NPLM(**small).fit(names[:8], names[8:], steps=20, lr=0.1, batch_size=4)", None),
        ("NPLM(**small).fit(names, steps=20, batch=4)", "batch_size"),
        ("NPLM(**small).fit(names, max_steps=20)", "steps"),
        ("NPLM(**small).fit(names, learning_rate=0.1)", "lr"),
        ("NPLM(**small).fit(names, iterations=20)", "steps"),
        ("NPLM(**small).fit(names, epochs=2, batch_size=4)", None),
        ("NPLM(**small).fit(names, optimizer='adam', **quick)", "adamw"),
        ("NPLM(**small).fit(names, optimizer='sgd', lr=0.1, **quick)", None),
        ("NPLM(**small).fit(names, validation=names, **quick)", "dev"),
        (
            "m = NPLM(**small).fit(names, **quick)\nm.history.loss; m.history.dev_loss; m.history.lr; m.history.steps",
            None,
        ),
        (
            "m = NPLM(**small).fit(names, **quick)\np = m.next_probs('em')\nassert abs(p.sum() - 1) < 1e-12",
            None,
        ),
        (
            "m = NPLM(**small).fit(names, **quick)\nassert m.next_probs(['em', 'a']).shape == (2, len(m.vocab))",
            None,
        ),
        ("m = NPLM(**small).fit(names, **quick)\nm.next_probs(np.zeros((3, 2), int)).shape", None),
        ("m = NPLM(**small).fit(names, **quick)\nm.probabilities('em')", "next_probs"),
        ("m = NPLM(**small).fit(names, **quick)\nm.sample(3, temperature=0.8, top_k=5)", None),
        ("m = NPLM(**small).fit(names, **quick)\nm.sample(3, top_p=0.9)", None),
        ("m = NPLM(**small).fit(names, **quick)\nm.sample(3, prompt='em', max_length=10)", None),
        ("m = NPLM(**small).fit(names, **quick)\nm.sample(3, temprature=2)", "temperature"),
        ("m = NPLM(**small).fit(names, **quick)\nm.sample(3, max_new_tokens=5)", "max_length"),
        (
            "m = NPLM(**small).fit(names, **quick)\nm.C.shape, m.H.shape, m.d.shape, m.U.shape, m.b.shape",
            None,
        ),
        ("m = NPLM(**small).fit(names, **quick)\nm.W1", "H"),
        ("m = NPLM(**small).fit(names, **quick)\nm.embeddings", None),
        ("m = NPLM(**small).fit(names, **quick)\nm.most_similar('e', 3)", None),
        ("m = NPLM(**small).fit(names, **quick)\nm.nearest('e')", "most_similar"),
        ("m = NPLM(**small).fit(names, **quick)\nm.num_parameters()", None),
        ("m = NPLM(**small).fit(names, **quick)\nm.parameters()", "num_parameters"),
        (
            "m = NPLM(**small).fit(names, **quick)\nm.save(os.path.join(folder, 'new', 'deep'))\nNPLM.load(os.path.join(folder, 'new', 'deep'))",
            None,
        ),
        (
            "m = NPLM(**small).fit(names, **quick)\ncopy.deepcopy(m); pickle.loads(pickle.dumps(m))",
            None,
        ),
        ("NPLM(**small).sample()", "fit"),
        ("NPLM(**small).loss(names)", "vocab"),
        ("m = NPLM(**small).fit(names, **quick)\nm.log_prob('emma')", None),
        ("m = NPLM(**small).fit(names, **quick)\nm.token_log_probs(names).shape", None),
        ("training.lr_find(NPLM(**small), names, steps=10, batch_size=4)", None),
        ("training.find_rate", "lr_find"),
        ("training.History; training.Progress; training.LRSweep; training.DivergedError", None),
    ],
    "looking inside training": [
        ("print(NPLM(Vocab('abc'), **small).summary())", None),
        ("print(MLP(2, [16, 1]).summary())", None),
        ("m = NPLM(Vocab('abc'), **small)\nm.forward([[0, 1]]).hidden", None),
        ("m = NPLM(Vocab('abc'), **small)\nx, a, y = m.forward([[0, 1]])", None),
        ("m = NPLM(Vocab('abc'), **small)\nm.gradients([[0, 1]], [2])['C']", None),
        ("NPLM(Vocab('abc'), **small).grads", "gradients"),
        ("NPLM(Vocab('abc'), **small).logits([[0, 1]])", "forward"),
    ],
    "words": [
        ("WordNPLM(**small).fit(words, epochs=1, batch_size=8)", None),
        ("WordNPLM(context_length=5, embedding_dim=60, hidden_dim=50)", None),
        ("KneserNey(order=3).fit(words)", None),
        ("KneserNey(order=3, modified=True).fit(words).perplexity(words)", None),
        ("KneserNey(n=3)", "order"),
        ("t = text.read_words(words)\nInterpolatedTrigram().fit(*t.split(0.8))", None),
        (
            "t = text.read_words(words)\na, b = t.split(0.8)\nMixture([KneserNey(order=2).fit(a), KneserNey(order=3).fit(a)]).fit(b)",
            None,
        ),
        ("t = text.read_words(words, vocab_size=5)\nt.vocab.unk_token, t.unk_rate", None),
        ("text.read_words(words, eos='line').vocab.eos_token", None),
        ("text.read_words(words, max_size=5)", "vocab_size"),
        ("text.read_words(words, marks='line')", "eos"),
        ("v = text.read_words(words).vocab\nv.itos[0]; v.stoi['cat']; 'cat' in v; list(v)", None),
        ("KneserNey(order=3).fit(words).sample(3, prompt='the', max_length=5)", None),
        ("KneserNey(order=3).fit(words).next_probs('the cat').sum()", None),
        ("KneserNey(order=3).fit(words).log_prob('the cat sat')", None),
        ("m = KneserNey(order=3).fit(words)\nm.save(folder)\nfastgrad.load(folder)", None),
        (
            "m = KneserNey(order=3).fit(words)\ncopy.deepcopy(m); pickle.loads(pickle.dumps(m))",
            None,
        ),
        ("datasets.shakespeare()", None),
        ("datasets.plays()", "shakespeare"),
        ("fastgrad.words.read_words(words)", "fastgrad.text"),
        ("WordNPLM(block_size=4, n_embd=30, n_hidden=100)", "context_length"),
        ("WordNPLM(vocab_size=5)", "vocab"),
        ("WordNPLM(**small).train(words, steps=20)", "fit"),
        ("WordNPLM(**small).fit(words, val=words, epochs=1)", "dev"),
        ("WordNPLM(**small).fit(words, epochs=1, device='cuda')", "threads"),
        ("WordNPLM(**small).fit(words, epochs=1, batch_size=8).embedding", "C"),
        ("WordNPLM(**small).fit(words, epochs=1, batch_size=8).nearest('cat')", "most_similar"),
        ("WordNPLM(**small).fit(words, epochs=1, batch_size=8).most_similar('cat', 3)", None),
        ("KneserNey(3).fit(words).sample(5)", None),
        ("KneserNey(3).fit(words).sample(prompt='the cat')", None),
        ("KneserNey(3).fit(words).evaluate(words)", "loss"),
        ("KneserNey(3).fit(words).score('cat', ['the'])", "log_prob"),
        ("KneserNey(3).fit(words).logscore('cat', ['the'])", "log_prob"),
        ("KneserNey(order=3, discount=0.75)", "modified"),
        ("KneserNey(3).fit([['the', 'cat'], ['the', 'dog']])", "' '.join"),
        ("fastgrad.KneserNeyInterpolated(3)", "KneserNey"),
        ("fastgrad.tokenize(words)", "read_words"),
        ("fastgrad.plot_embeddings", "embedding_scatter"),
        ("Vocab(['the', 'cat'], min_freq=3)", "min_count"),
        ("WordVocab.from_texts(words)", "read_words"),
        ("text.read_words(words).vocab.rare", "unk_token"),
        ("datasets.brown()", "nltk"),
        ("InterpolatedTrigram().fit(words)", "dev"),
        ("t = text.read_words(words)\nInterpolatedTrigram().fit(*t.split(0.8)).lambdas", "weights"),
        ("fastgrad.mix(1, 2)", "Mixture"),
        ("k = KneserNey(2).fit(words)\nMixture(k, k)", "list"),
        (
            "k = KneserNey(2).fit(words)\nMixture([k, k], weights=[0.5, 0.5]).perplexity(words)",
            None,
        ),
        (
            "k = KneserNey(2).fit(words)\nm = Mixture([k, k])\nm.save(path)\nfastgrad.load(path)",
            None,
        ),
        ("fastgrad.train_val_test_split(words, shuffle=False)", "text.split"),
    ],
    "plots": [
        (
            "from fastgrad.plots import bigram_heatmap\nax = bigram_heatmap(NgramCounts(names))\nax.set_title('x')",
            None,
        ),
        (
            "plots.bigram_heatmap(BigramModel().fit(names), path=os.path.join(folder, 'a.png'))",
            None,
        ),
        (
            "m = NPLM(**small).fit(names, **quick)\nplots.loss_curve(m.history); plots.loss_curve(m)",
            None,
        ),
        ("m = NPLM(**small).fit(names, **quick)\nplots.embedding_scatter(m)", None),
        (
            "s = training.lr_find(NPLM(**small), names, steps=10, batch_size=4)\nplots.lr_curve(s)",
            None,
        ),
        ("X, y = datasets.make_moons(20)\nplots.decision_boundary(MLP(2, [4, 1]), X, y)", None),
        ("plots.decision_boundary(lambda p: p[0], [[0., 0.], [1., 1.]], [0, 1])", None),
        (
            "from matplotlib.figure import Figure\nax = Figure().subplots()\nassert plots.loss_curve(NeuralBigram().fit(names, steps=5), ax=ax) is ax",
            None,
        ),
        ("plots.rate_sweep", "lr_curve"),
    ],
}


@pytest.mark.filterwarnings("ignore::fastgrad.models.DiscountWarning")
@pytest.mark.parametrize(
    ("guess", "hint"),
    [
        pytest.param(*guess, id=f"{area}-{place}")
        for area, guesses in GUESSES.items()
        for place, guess in enumerate(guesses)
    ],
)
def test_first_guess(guess, hint, tmp_path):
    namespace = {"folder": str(tmp_path)}
    exec(SETUP, namespace)
    if hint is None:
        exec(guess, namespace)
        return
    with pytest.raises(Exception) as error:
        exec(guess, namespace)
    assert hint in str(error.value)
    assert len(str(error.value)) < 500


def test_there_are_enough_guesses():
    assert sum(map(len, GUESSES.values())) >= 120
