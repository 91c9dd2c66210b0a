"""Hostile calls of the whole public API, and a program that makes very many of them.

    python tests/reference/hostile_api.py 20000 SEED            # so many calls
    python tests/reference/hostile_api.py 1 SEED 1234           # call 1234 alone, told

Every call has right arguments of which one or two are made wrong. It may return, or raise what is
documented or what a hostile object raised, within five seconds, with 2 GB of address space and a
message that is short; a call that failed leaves its arguments as they were. What is found is
told, and the calls go on; the last line counts them.
"""

import collections
import contextlib
import enum
import faulthandler
import functools
import importlib
import inspect
import io
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["MPLBACKEND"] = "Agg"

import fastgrad
import hostile_table
import numpy as np
from fastgrad import cli
from fastgrad.debug import GradcheckError
from fastgrad.engine import Value
from hostile_arguments import Call, anything, wrong
from hostile_table import COMMANDS, SLOW, TABLE
from hostile_world import HostileError

ADDRESS_SPACE = 2 * 2**30
# No call may take longer, in computing time and by the clock; the process ends after twelve times
# as long by the clock, since on a busy machine it has a part of the time only.
SECONDS = float(os.environ.get("FASTGRAD_HOSTILE_SECONDS", "5"))
PATIENCE = 12
INTERRUPTED_AFTER = 0.4  # what may rightly go on for ever has to answer Ctrl-C
LONGEST_MESSAGE = 2000
FORBIDDEN = "PanicException", "InternalError"
DOCUMENTED = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, OSError)
DOCUMENTED += (MemoryError, BufferError, RecursionError, StopIteration, HostileError)
DOCUMENTED += (GradcheckError,)  # of a function and inputs that are nonsense
# What is told of things that change while they are read, by Python's own iterators and by us.
CHANGES = "changed size during iteration", "mutated during iteration", "while x was read"
CHANGES += ("StopIteration", "concurrently")
# These may rightly end half-way: training keeps what was learned, and counting up what was seen.
HALF_WAY = {"fit", "resume", "go", "lr_find", "step", "zero_grad", "zero_grads", "feed", "end"}
HALF_WAY |= {"choose", "backward", "train_recorded"}
PLOTS_OF_TEN = 0.1  # the share of calls of slow things


class TimeUp(KeyboardInterrupt):
    """What a call is interrupted with."""


# Which functions, and how to call them ------------------------------------------------------------


def find(path):
    """Look a dotted name up below `fastgrad`."""
    found = importlib.import_module("fastgrad")
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            found = importlib.import_module(f"{found.__name__}.{name}")
    return found


@functools.cache
def entries():
    """All rows of the table: where it stands, the name, the function, its arguments."""
    found = []
    for place, rows in TABLE.items():
        for name, arguments in rows.items():
            if arguments is not None:
                function = find(".".join(filter(None, [place, name.split()[0] if name else ""])))
                found.append((f"{place}.{name}", function, arguments))
    return found


def right_calls():
    """Call each row of the table with right arguments; tell those that fail."""
    failed = {}
    for name, function, row in entries():
        positional, keywords = arrange(function, right_arguments(function, row))
        try:
            function(*positional, **keywords)
        except Exception as error:
            failed[name] = repr(error)
    return failed


def is_slow(name):
    return name.startswith("plots")


@functools.cache
def signature(function):
    try:
        return inspect.signature(function)
    except ValueError:
        return None


def right_arguments(function, row):
    """Make the right arguments, those with defaults included where the signature names them."""
    made = {name: copy_of(value) for name, value in row.items()}
    options = made.pop("options", {})
    return {**made, **options}


def copy_of(value):
    if callable(value) and not isinstance(value, type):
        return value()
    return type(value)(value) if isinstance(value, list | dict) else value


def arrange(function, arguments):
    """Give positional arguments and keywords, as the signature wants them."""
    arguments = dict(arguments)
    positional, shape = [], signature(function)
    if "self" in arguments:
        positional.append(arguments.pop("self"))
        shape = (
            None if shape is None else shape.replace(parameters=list(shape.parameters.values())[1:])
        )
    if shape is not None:
        before_more = [inspect.Parameter.POSITIONAL_ONLY]
        if any(
            p.kind is p.VAR_POSITIONAL and name in arguments for name, p in shape.parameters.items()
        ):
            before_more.append(inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for name, parameter in shape.parameters.items():
            if parameter.kind in before_more and name in arguments:
                positional.append(arguments.pop(name))
            elif parameter.kind is parameter.VAR_POSITIONAL and name in arguments:
                given = arguments.pop(name)
                positional.extend(given if isinstance(given, tuple | list) else [given])
    else:  # No signature: by position, in the row's order.
        positional += arguments.values()
        arguments = {}
    return positional, arguments


def parameters(function, row):
    """The arguments that can be made wrong."""
    names = [name for name in row if name not in ("self", "options")]
    names += row.get("options", {})
    shape = signature(function)
    if shape is not None:
        for name, parameter in list(shape.parameters.items()):
            named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if named and name not in ("self", "cls") and name not in names:
                names.append(name)
    return names


# What must be the same after a failed call --------------------------------------------------------


def state_of(thing, depth=0):
    """Everything there is to compare, as nested tuples."""
    if isinstance(thing, np.ndarray):
        if thing.nbytes > 10**7 or thing.dtype.hasobject:
            return "array", thing.shape
        return "array", thing.dtype.str, thing.shape, thing.tobytes()
    if isinstance(thing, Value):
        return "Value", repr(thing.data), repr(thing.grad), thing._op
    if isinstance(thing, str | bytes | int | float | type(None) | enum.Enum | pathlib.PurePath):
        text = repr(thing)
        return type(thing).__name__, text if len(text) < 10_000 else len(text)
    if depth > 8 or type(thing).__module__ in ("hostile_arguments", "builtins_"):
        return type(thing).__name__
    if type(thing) in (list, tuple):
        return (
            type(thing).__name__,
            len(thing),
            *(state_of(item, depth + 1) for item in thing[:200]),
        )
    if type(thing) is dict:
        items = list(thing.items())[:200]
        return "dict", len(thing), *((repr(k)[:200], state_of(v, depth + 1)) for k, v in items)
    if type(thing).__module__.startswith("fastgrad._core") or type(thing).__name__ == "NgramCounts":
        return core_state(thing)
    if type(thing).__module__.startswith("fastgrad") and not isinstance(thing, type):
        inside = getattr(thing, "__dict__", {})
        # What begins with an underscore, or is cached, may be worked out when it is asked for.
        public = {k: v for k, v in inside.items() if not (k.startswith("_") or is_cached(thing, k))}
        found = tuple((k, state_of(v, depth + 1)) for k, v in public.items())
        slots = [s for s in getattr(type(thing), "__slots__", ()) if not s.startswith("_")]
        slots = [getattr(thing, s, None) for s in slots]
        return (type(thing).__name__, found, *(state_of(s, depth + 1) for s in slots))
    return type(thing).__name__


def is_cached(thing, name):
    return isinstance(inspect.getattr_static(type(thing), name, None), functools.cached_property)


def core_state(thing):
    found = [type(thing).__name__]
    for name in (
        "weights",
        "entries",
        "nonzero",
        "tokens",
        "types",
        "items",
        "total",
        "characters",
        "steps",
    ):
        value = getattr(thing, name, None)
        with contextlib.suppress(Exception):
            found.append(state_of(value() if callable(value) else value))
    if type(thing).__name__ in ("Momentum", "Moments"):
        found.append(state_of(thing.__reduce__()))
    return tuple(found)


def files():
    """What lies in the folder, the contents of small files included."""
    found = {}
    for path in sorted(pathlib.Path().rglob("*")):
        if path.is_file() and not path.is_symlink():
            found[str(path)] = path.read_bytes()
    return found


# One call ----------------------------------------------------------------------------------------


def is_allowed(error, seen=0):
    if type(error).__name__ in FORBIDDEN:
        return False
    if isinstance(error, RuntimeError) and not isinstance(error, (RecursionError, GradcheckError)):
        return any(words in str(error) for words in CHANGES)
    return isinstance(error, (*DOCUMENTED, TimeUp, KeyboardInterrupt))


def message_of(error):
    try:
        return str(error)
    except (HostileError, UnicodeError, TypeError, MemoryError, RecursionError):
        return ""


def make_call(draw):
    """Draw a call: its name, what was made wrong, function, arguments."""
    if draw.random() < 0.03:
        return command(draw)
    while True:
        name, function, row = draw.choice(entries())
        if not is_slow(name) or draw.random() < PLOTS_OF_TEN:
            break
    arguments = right_arguments(function, row)
    names = parameters(function, row)
    changed = draw.sample(names, min(len(names), draw.choice([1, 1, 1, 1, 2])))
    if draw.random() < 0.03:
        changed.append(draw.choice(["nonsense", "self"]))
    for item in changed:
        if item == "self" and "self" not in arguments:
            continue
        arguments[item] = wrong(draw, arguments.get(item))
    positional, keywords = arrange(function, arguments)
    return name, changed, function, positional, keywords


def command(draw):
    """Draw a command line, of which a word or two are wrong."""
    words = draw.choice(SLOW if draw.random() < 0.03 else COMMANDS).split()
    for _ in range(draw.choice([0, 1, 1, 2])):
        place = draw.randint(0, len(words))
        what = draw.randrange(4)
        if what == 0:
            words.insert(place, hostile_word(draw))
        elif what == 1 and words:
            del words[place - 1]
        elif words:
            words[place - 1] = hostile_word(draw)
    return f"cli {' '.join(words[:2])[:20]}", ["argv"], cli.main, [words], {}


def hostile_word(draw):
    kinds = [*hostile_words(), str(anything(draw))[:200_000] if draw.random() < 0.1 else "nan"]
    return draw.choice(kinds)


@functools.cache
def hostile_words():
    from hostile_arguments import FLOATS, INTS, STRINGS

    words = [str(number) for number in [*INTS[:-6], *FLOATS]] + STRINGS
    words += ["--steps", "--order", "--eos", "line", "-o", "-n", "--seed", "--resume", "folder"]
    words += ["items.txt", "damaged", "run.safetensors", "word.safetensors", "x" * 100_000]
    return [*words, "9" * 5000, "1e999", "0x10", "\uff11\uff12", "1_000", "--steps=-1", "--no-such"]


class Outcome:
    """What came of a call."""

    def __init__(self):
        self.kind, self.error, self.seconds = "no exception", None, 0.0


def perform(draw, number):
    """Make one call; return its name, what was wrong, how it ended, and what was at fault."""
    try:
        name, changed, function, positional, keywords = make_call(draw)
    except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError, OSError) as error:
        return "none", [], f"not made: {type(error).__name__}", None
    announce(f"{number} {name} {changed}")
    inside = [*positional, *keywords.values()]
    inside += [item for thing in inside if type(thing) in (list, tuple) for item in thing[:50]]
    inside += [v for thing in inside if type(thing) is dict for v in list(thing.values())[:50]]
    before = state_of([positional, keywords])
    end = function is cli.main
    call = Call(draw, inside)
    errors = io.StringIO()
    faulthandler.dump_traceback_later(SECONDS * PATIENCE, exit=True, file=REAL.errors)
    signal.setitimer(signal.ITIMER_REAL, INTERRUPTED_AFTER, 2.0)
    start, computed = time.perf_counter(), time.process_time()
    error = result = None
    sys.stderr = errors if end else REAL.nothing
    try:
        Call.now = call
        result = function(*positional, **keywords)
    except BaseException as raised:
        error = raised
    finally:
        Call.now = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        fastgrad.set_num_threads(None)  # which a call may have set for all that follow
        faulthandler.cancel_dump_traceback_later()
        sys.stderr = REAL.nothing
    seconds = min(time.perf_counter() - start, time.process_time() - computed)
    fault = None
    if seconds > SECONDS:
        fault = f"took {seconds:.1f} s"
    elif end:
        fault = fault_of_command(error, result, errors.getvalue())
    elif error is not None:
        fault = fault_of(error)
        half_way = name.split(".")[-1].split()[0] if name.split(".")[-1] else ""
        if fault is None and not call.touched and half_way not in HALF_WAY and not end:
            after = state_of([positional, keywords])
            if after != before:
                fault = f"changed its arguments and raised {error!r}"[:300]
    kind = "no exception" if error is None else type(error).__name__
    return name, changed, kind, fault, seconds


def fault_of(error):
    if not is_allowed(error):
        return f"raised {type(error).__name__}: {message_of(error)[:300]}"
    message = message_of(error)
    if len(message) > LONGEST_MESSAGE and not isinstance(error, HostileError):
        return f"a message of {len(message)} characters: {type(error).__name__} {message[:80]!r}"
    return None


def fault_of_command(error, result, told):
    if isinstance(error, SystemExit):
        result, error = error.code, None
    if isinstance(error, TimeUp):  # Once more, while it told of the first.
        return None
    if error is not None:
        return f"the command raised {type(error).__name__}: {message_of(error)[:300]}"
    if result not in (0, 1, 2, 130):
        return f"the command ended with {result!r}"
    if told and len(told.rstrip().rsplit("\n", 1)[-1]) > LONGEST_MESSAGE:
        return f"the command told {len(told)} characters: {told[-3000:-2900]}"
    return None


# The program -------------------------------------------------------------------------------------


class REAL:
    """The streams of the process, which calls do not see."""

    out = errors = nothing = None


def interrupt(*_):
    if Call.now is not None:  # The alarm may come just as the call ends.
        raise TimeUp("interrupted")


def prepare():
    """Set limits and streams, and go to a folder that may be filled."""
    REAL.out = os.fdopen(os.dup(1), "w", buffering=1)
    REAL.errors = os.fdopen(os.dup(2), "w", buffering=1)
    REAL.nothing = open(os.devnull, "w")  # noqa: SIM115 - until the end of the process
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = open(os.devnull)  # noqa: SIM115
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    faulthandler.enable(file=REAL.errors)
    folder = tempfile.mkdtemp(prefix="fastgrad-hostile-")
    os.chdir(folder)
    sys.stdout = sys.stderr = REAL.nothing
    hostile_table.write_files()
    entries()
    import matplotlib.pyplot  # noqa: F401 - before memory is short

    signal.signal(signal.SIGALRM, interrupt)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return folder


def refresh():
    """Make the files afresh, which calls may have overwritten."""
    for path in pathlib.Path().iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    hostile_table.write_files()


def main(calls, seed="0", first="0", quiet=""):
    folder = prepare()
    outcomes, faults, slowest = collections.Counter(), {}, (0.0, "")
    covered = set()
    first = int(first)
    try:
        for number in range(first, first + int(calls)):
            if number % 500 == 0 and number > first:
                refresh()
            draw = random.Random(f"{seed}/{number}")
            random.seed(f"{seed}/{number}")
            np.random.seed(number % 2**32)
            announce(str(number))
            name, changed, kind, fault, *rest = perform(draw, number)
            outcomes[kind] += 1
            covered.update((name, argument) for argument in changed)
            seconds = rest[0] if rest else 0.0
            slowest = max(slowest, (seconds, f"{name} {changed} (call {number})"))
            if int(calls) <= 50 and not quiet:
                print(name, changed, kind, f"{seconds:.2f} s", file=REAL.out)
            if fault is not None:
                key = name, fault[:40]
                if key not in faults:
                    print(f"FAULT call {number}: {name} {changed}: {fault}", file=REAL.out)
                faults[key] = number
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    summary = {"calls": sum(outcomes.values()), "entries": len({name for name, _ in covered})}
    summary |= {"arguments": len(covered), "faults": len(faults)}
    summary |= {
        "slowest": f"{slowest[0]:.1f} s {slowest[1]}",
        "ended": dict(outcomes.most_common()),
    }
    print(json.dumps(summary), file=REAL.out)
    REAL.out.flush()
    os._exit(1 if faults else 0)  # What hooks have left behind is nobody's business.


def announce(told):
    """Leave the call's number and name where whoever started this finds them after a crash."""
    place = os.environ.get("FASTGRAD_HOSTILE_PLACE")
    if place:
        descriptor = _opened(place)
        line = told.encode("utf-8", "backslashreplace")
        os.pwrite(descriptor, line, 0)
        os.ftruncate(descriptor, len(line))


@functools.cache
def _opened(place):
    return os.open(place, os.O_WRONLY | os.O_CREAT, 0o600)


if __name__ == "__main__":
    sys.excepthook = lambda *told: sys.__stderr__.write("".join(traceback.format_exception(*told)))
    main(*sys.argv[1:])
