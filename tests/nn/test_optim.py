"""Optimizers against the formulas of their papers, schedules, and bad settings."""

import copy
import inspect
import math
import pickle
import random

import pytest
import textbook_optimizers
from fastgrad.engine import Value
from fastgrad.optim import SGD, Adam, AdamW, schedules
from hypothesis import given
from hypothesis import strategies as st

FRACTIONS = st.floats(0, 0.999)
DECAYS = st.sampled_from([0.0, 0.01, 0.3])
RATES = st.floats(1e-6, 0.5)
SEEDS = st.integers(0, 2**32 - 1)


def gradients_of(seed, params=5, steps=60):
    """Gradients of all sizes, some of them zero, that depend on nothing else."""
    rng = random.Random(seed)
    return [
        [
            rng.choice([0.0, 1.0, 1.0, 1.0]) * rng.gauss(0, 10 ** rng.uniform(-6, 3))
            for _ in range(params)
        ]
        for _ in range(steps)
    ]


def start_of(seed, params=5):
    rng = random.Random(seed + 1)
    return [rng.uniform(-2, 2) for _ in range(params)]


def follow(optimizer, params, gradients):
    """Give an optimizer the gradients, and yield the parameters after each step."""
    for gradient in gradients:
        for p, g in zip(params, gradient, strict=True):
            p.grad = g
        optimizer.step()
        yield [p.data for p in params]


def assert_same_path(found, expected):
    """Compare on the scale of the largest value that a parameter has had."""
    scale = [0.0] * 5
    steps = 0
    for ours, theirs in zip(found, expected, strict=True):
        scale = [max(s, abs(b)) for s, b in zip(scale, theirs, strict=True)]
        for a, b, s in zip(ours, theirs, scale, strict=True):
            assert abs(a - b) <= 1e-15 * s
        steps += 1
    assert steps > 0


@given(SEEDS, RATES, FRACTIONS, DECAYS)
def test_sgd_is_the_textbook_loop(seed, lr, momentum, weight_decay):
    start, gradients = start_of(seed), gradients_of(seed)
    params = [Value(x) for x in start]
    optimizer = SGD(params, lr, momentum=momentum, weight_decay=weight_decay)
    textbook = textbook_optimizers.sgd(start, gradients, lambda _: lr, momentum, weight_decay)
    assert_same_path(follow(optimizer, params, gradients), textbook)


@given(SEEDS, RATES, st.tuples(FRACTIONS, FRACTIONS), DECAYS, st.sampled_from([Adam, AdamW]))
def test_adam_and_adamw_are_the_textbook_loop(seed, lr, betas, weight_decay, kind):
    start, gradients = start_of(seed), gradients_of(seed)
    params = [Value(x) for x in start]
    optimizer = kind(params, lr, betas=betas, eps=1e-8, weight_decay=weight_decay)
    textbook = textbook_optimizers.adam(
        start, gradients, lambda _: lr, betas, 1e-8, weight_decay, decoupled=kind is AdamW
    )
    assert_same_path(follow(optimizer, params, gradients), textbook)


def test_adam_stays_with_the_textbook_over_two_thousand_steps():
    start, gradients = start_of(7), gradients_of(7, steps=2000)
    params = [Value(x) for x in start]
    rate = schedules.cosine(0.01, 0.0, steps=2000)
    textbook = textbook_optimizers.adam(start, gradients, rate, (0.9, 0.999), 1e-8)
    assert_same_path(follow(Adam(params, rate), params, gradients), textbook)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (SGD, {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}),
        (Adam, {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}),
        (AdamW, {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}),
    ],
)
def test_defaults(kind, settings):
    optimizer = kind([Value(1.0)], 0.1) if kind is SGD else kind([Value(1.0)])
    assert {name: getattr(optimizer, name) for name in settings} == settings


def test_first_steps_by_hand():
    p = Value(1.0)
    sgd = SGD([p], lr=0.5, momentum=0.5, weight_decay=0.5)
    p.grad = 0.5
    sgd.step()  # v = 0.5 + 0.5·1 = 1
    assert p.data == 0.5
    p.grad = 0.0
    sgd.step()  # v = 0.5·1 + 0.5·0.5 = 0.75
    assert p.data == 0.125

    q = Value(1.0)
    q.grad = -3.0
    Adam([q], lr=0.25, eps=1.0).step()  # 0.25·3/(3 + 1)
    assert q.data == pytest.approx(1.1875, rel=1e-15)


def test_training_finds_the_minimum():
    for kind in (SGD, Adam, AdamW):
        x, y = Value(3.0), Value(-2.0)
        optimizer = kind([x, y], lr=schedules.linear(0.2, 0.0, steps=300), weight_decay=0.0)
        for _ in range(300):
            optimizer.zero_grad()
            ((x - 1) ** 2 + (y + 0.5) ** 2).backward()
            optimizer.step()
        assert x.data == pytest.approx(1, abs=1e-3)
        assert y.data == pytest.approx(-0.5, abs=1e-3)


def test_zero_grad_clears_parameters_only():
    a, b, other = Value(1.0), Value(2.0), Value(3.0)
    a.grad = b.grad = other.grad = 4.0
    SGD([a, b], lr=1.0).zero_grad()
    assert (a.grad, b.grad, other.grad) == (0.0, 0.0, 4.0)


def test_gradients_stay_as_they_were():
    for kind in (SGD, Adam, AdamW):
        p = Value(1.0)
        p.grad = 2.0
        kind([p], lr=0.1, weight_decay=0.1).step()
        assert p.grad == 2.0


def test_params_may_be_any_iterable_and_of_a_subclass():
    class Weight(Value):
        pass

    a, b = Value(1.0), Weight(2.0)
    optimizer = SGD((p for p in (a, b)), lr=1.0)
    assert optimizer.params == [a, b]
    b.grad = 0.5
    optimizer.step()
    assert (a.data, b.data) == (1.0, 1.5)


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_lr_may_be_a_function_of_the_step(kind):
    asked = []

    def rate(step):
        asked.append(step)
        return 0.1

    p = Value(1.0)
    optimizer = kind([p], lr=rate)
    for _ in range(3):
        optimizer.step()
    optimizer.step(lr=0.2)  # not asked, but counted
    optimizer.step()
    assert asked == [0, 1, 2, 4]
    assert optimizer.steps == 5


def test_lr_of_one_step_and_changed_lr():
    p = Value(1.0)
    optimizer = SGD([p], lr=0.25)
    p.grad = 1.0
    optimizer.step(lr=0.5)
    assert p.data == 0.5
    optimizer.step()
    assert p.data == 0.25
    optimizer.lr = 0.125
    optimizer.step()
    assert p.data == 0.125
    optimizer.step(lr=0)
    assert p.data == 0.125


BAD_NUMBERS = [
    (-0.1, ValueError),
    (math.nan, ValueError),
    (math.inf, ValueError),
    ("0.1", TypeError),
    (None, TypeError),
    (Value(0.1), TypeError),
]


@pytest.mark.parametrize("name", ["lr", "weight_decay"])
@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
@pytest.mark.parametrize(("value", "error"), BAD_NUMBERS)
def test_bad_amounts_are_named(kind, name, value, error):
    arguments = {"lr": 0.1} | {name: value}
    with pytest.raises(error, match=f"^{name} is .*;"):
        kind([Value(1.0)], **arguments)


@pytest.mark.parametrize(("value", "error"), [*BAD_NUMBERS, (1.0, ValueError), (7, ValueError)])
def test_bad_fractions_are_named(value, error):
    p = Value(1.0)
    with pytest.raises(error, match=r"^momentum is .*;"):
        SGD([p], 0.1, momentum=value)
    with pytest.raises(error, match=r"^betas\[0\] is .*;"):
        Adam([p], betas=(value, 0.9))
    with pytest.raises(error, match=r"^betas\[1\] is .*;"):
        AdamW([p], betas=(0.9, value))


@pytest.mark.parametrize("betas", [0.9, (0.9,), (0.9, 0.99, 0.999), None])
def test_betas_are_two(betas):
    with pytest.raises(TypeError, match=r"betas is .*;"):
        Adam([Value(1.0)], betas=betas)


@pytest.mark.parametrize("eps", [0.0, -1e-8, math.nan])
def test_eps_is_positive(eps):
    with pytest.raises(ValueError, match="eps is "):
        Adam([Value(1.0)], eps=eps)


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ([], ValueError, "params is empty;"),
        ([1.0], TypeError, r"params\[0\] is 1\.0;"),
        (["w"], TypeError, r"params\[0\] is 'w';"),
        (None, TypeError, "params is None;"),
        (Value(1.0), TypeError, "params is Value.*;"),
        (
            [Value(1.0)] * 2,
            ValueError,
            r"params\[1\] is params\[0\] again;",
        ),
    ],
)
@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_bad_params_are_named(kind, params, error, words):
    with pytest.raises(error, match=words):
        kind(params, lr=0.1)


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_a_bad_rate_changes_nothing(kind):
    """After an error an optimizer goes on as one that never saw it."""
    paths = []
    for with_errors in (False, True):
        p = Value(1.0)
        rates = iter([0.1, 0.1, 0.1] if not with_errors else [0.1, math.nan, 0.1, -1.0, "x", 0.1])
        optimizer = kind([p], lr=lambda _, rates=rates: next(rates))
        p.grad = 2.0
        path = []
        for good in [True, False, True, False, False, True] if with_errors else [True] * 3:
            if good:
                optimizer.step()
                path.append(p.data)
                continue
            before = (p.data, p.grad, optimizer.steps)
            with pytest.raises((TypeError, ValueError), match=r"lr\(\d\) is .*;"):
                optimizer.step()
            assert (p.data, p.grad, optimizer.steps) == before
        paths.append(path)
    assert paths[0] == paths[1]


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_a_refused_setting_keeps_the_old_one(kind):
    p = Value(1.0)
    optimizer = kind([p], lr=0.1)
    with pytest.raises(ValueError, match=r"lr is -1\.0;"):
        optimizer.lr = -1.0
    with pytest.raises(ValueError, match="weight_decay is inf;"):
        optimizer.weight_decay = math.inf
    with pytest.raises(ValueError, match="lr is nan;"):
        optimizer.step(lr=math.nan)
    assert optimizer.lr == 0.1
    assert optimizer.steps == 0
    assert p.data == 1.0


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (schedules.constant(0.5), {0: 0.5, 1000: 0.5}),
        (schedules.linear(1.0, 0.1, 100), {0: 1.0, 50: 0.55, 99: 0.109, 100: 0.1, 5000: 0.1}),
        (schedules.linear(0.0, 1.0, 4), {0: 0.0, 1: 0.25, 4: 1.0, 5: 1.0}),
        (schedules.cosine(1.0, 0.0, 100), {0: 1.0, 50: 0.5, 100: 0.0, 101: 0.0}),
        (schedules.cosine(1.0, 0.2, 3), {1: 0.8, 2: 0.4, 3: 0.2}),
        (schedules.exponential(2.0, 0.5), {0: 2.0, 1: 1.0, 10: 2.0 / 1024}),
        (schedules.step_decay(1.0, 0.1, 10), {0: 1.0, 9: 1.0, 10: 0.1, 25: 0.01}),
        (schedules.warmup(0.8, 4), {0: 0.2, 1: 0.4, 3: 0.8, 4: 0.8, 99: 0.8}),
        (
            schedules.warmup(schedules.linear(1.0, 0.0, 10), 2),
            {0: 0.5, 1: 1.0, 2: 1.0, 7: 0.5, 12: 0.0},
        ),
    ],
)
def test_schedules(schedule, rates):
    assert {step: schedule(step) for step in rates} == pytest.approx(rates, rel=1e-14, abs=1e-16)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: schedules.constant(-1), ValueError, "lr is -1;"),
        (lambda: schedules.linear(math.nan, 0, 5), ValueError, "start is nan;"),
        (lambda: schedules.linear(1, math.inf, 5), ValueError, "end is inf;"),
        (lambda: schedules.linear(1, 0, 0), ValueError, "steps is 0;"),
        (lambda: schedules.cosine(1, 0, 2.5), TypeError, r"steps is 2\.5;"),
        (lambda: schedules.cosine("1", 0, 2), TypeError, "start is '1';"),
        (lambda: schedules.exponential(1, -0.5), ValueError, r"factor is -0\.5;"),
        (lambda: schedules.step_decay(1, 0.5, -1), ValueError, "every is -1;"),
        (lambda: schedules.warmup(0.1, None), TypeError, "steps is None;"),
        (lambda: schedules.warmup("fast", 3), TypeError, "lr is 'fast';"),
    ],
)
def test_bad_schedules_are_named(make, error, words):
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=0.01, momentum=0.9), Adam, AdamW])
def test_a_copied_optimizer_goes_on_where_the_first_one_was(make):
    def train(parameters, optimizer, steps):
        for _ in range(steps):
            loss = sum((p * p - 1.0) ** 2 for p in parameters)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    parameters = [Value(0.5), Value(-2.0)]
    optimizer = make(parameters)
    train(parameters, optimizer, 5)
    for copied in (copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))):
        twins, twin = copied((parameters, optimizer))
        train(twins, twin, 5)
        again, once_more = copied((parameters, optimizer))
        train(again, once_more, 5)
        assert [p.data for p in twins] == [p.data for p in again]
        assert [p.data for p in twins] != [p.data for p in parameters]
    train(parameters, optimizer, 5)
    assert [p.data for p in twins] == [p.data for p in parameters]


SCHEDULES = [
    schedules.constant(0.1),
    schedules.linear(0.1, 0.0, 7),
    schedules.cosine(0.1, 0.01, 7),
    schedules.exponential(0.1, 0.9),
    schedules.inverse_time_decay(0.1, 0.5),
    schedules.step_decay(0.1, 0.5, 2),
    schedules.warmup(0.1, 3),
    schedules.warmup(schedules.cosine(0.1, 0.0, 5), 2),
    schedules.warmup_cosine(0.1, 7, 2),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_schedules_and_their_optimizers_can_be_copied(schedule, kind, copied):
    rates = [schedule(step) for step in range(9)]
    assert [copied(schedule)(step) for step in range(9)] == rates
    p = Value(1.0)
    optimizer = kind([p], lr=schedule)
    for once_more in (False, True):
        if once_more:
            optimizer = copied(optimizer)
            (p,) = optimizer.params
        for _ in range(4):
            p.grad = 1.0
            optimizer.step()
    q = Value(1.0)
    other = kind([q], lr=schedule)
    for _ in range(8):
        q.grad = 1.0
        other.step()
    assert p.data == q.data
    assert optimizer.steps == 8


def test_the_class_of_an_optimizer_can_be_inspected():
    names = {name for name, _ in inspect.getmembers(SGD)}
    assert {"lr", "momentum", "weight_decay", "step"} <= names


def test_a_list_of_steps_and_learning_rates_is_a_schedule():
    p = Value(0.0)
    optimizer = SGD([p], lr=[(0, 0.5), (2, 0.25)])
    for _ in range(3):
        p.grad = -1.0
        optimizer.step()
    assert p.data == 1.25
    with pytest.raises(ValueError, match=r"lr\[0\] starts at step 1"):
        SGD([p], lr=[(1, 0.5)])
