"""Wrong arguments for any function: things of every kind, and right arguments made wrong.

`wrong(draw, right)` gives what takes the place of an argument; `draw` is a `random.Random`. Hostile
objects raise `HostileError` from their hooks, answer nonsense, or change the other arguments of
the call that is under way, which `Call.now` names.
"""

import copy
import datetime
import decimal
import fractions
import io
import itertools
import math
import pathlib

import numpy as np
from fastgrad.engine import Value
from hostile_world import HostileError


class Call:
    """The call that is under way: what hostile hooks draw from and may change."""

    now = None

    def __init__(self, draw, arguments):
        self.draw = draw
        self.arguments = arguments
        self.touched = False  # has a hook changed an argument?
        self.raised = False  # has a hook raised?
        self.depth = 0


def mischief(answer):
    """Raise, change an argument of the call, answer nonsense, or answer as is right."""
    call = Call.now
    if call is None or call.depth:
        return answer
    what = call.draw.random()
    if what < 0.25:
        call.raised = True
        raise HostileError("from a hostile object")
    if what < 0.4:
        call.depth += 1
        try:
            change_an_argument(call)
        finally:
            call.depth -= 1
    if what > 0.85:
        return call.draw.choice([None, -1, 2**70, "\ud800", 1.5, [], NotImplemented, object()])
    return answer


def change_an_argument(call):
    """Empty, extend or overwrite one of the containers and arrays that the call was given."""
    found = [item for item in call.arguments if isinstance(item, list | dict | np.ndarray)]
    if not found:
        return
    chosen = call.draw.choice(found)
    call.touched = True
    if isinstance(chosen, np.ndarray):
        if call.draw.random() < 0.3:
            chosen.flags.writeable = False
        elif chosen.flags.writeable and chosen.dtype.kind in "fiu":
            chosen[...] = call.draw.choice([0, 1, 100])
        return
    if call.draw.random() < 0.5:
        chosen.clear()
    elif isinstance(chosen, list):
        chosen.extend([HostileError, "x", 3] * 50)
    else:
        chosen.update({"x": 3, 5: None})


def hook(answer):
    return lambda self, *arguments, **named: mischief(answer(self))


HOOKS = {
    "__float__": lambda _: 0.5,
    "__int__": lambda _: 1,
    "__index__": lambda _: 1,
    "__complex__": lambda _: 1j,
    "__len__": lambda _: 2,
    "__length_hint__": lambda _: 3,
    "__iter__": lambda _: iter(["ab", "ba"]),
    "__contains__": lambda _: True,
    "__bool__": lambda _: True,
    "__str__": lambda _: "hostile",
    "__repr__": lambda _: "hostile" * 1000,
    "__format__": lambda _: "hostile",
    "__eq__": lambda _: True,
    "__lt__": lambda _: True,
    "__le__": lambda _: False,
    "__hash__": lambda _: 5,
    "__call__": lambda _: 0.1,
    "__fspath__": lambda _: "hostile.txt",
    "__array__": lambda _: np.ones(3),
    "keys": lambda _: ["a", "b"],
    "items": lambda _: [("a", 1)],
    "read": lambda _: b"ab\n",
    "next_probs": lambda _: np.ones((2, 3)),
    "table": lambda _: np.ones((3, 3)),
}


def getitem(self, place):
    if isinstance(place, int) and place > 3:
        raise IndexError
    return mischief("ab")


Hooked = type("Hooked", (), {name: hook(answer) for name, answer in HOOKS.items()})
Hooked.__getitem__ = getitem


# A class for each hook alone: a number that is only a number, a path only a path.
ONE_HOOK = [type(f"Only{name}", (), {name: hook(answer)}) for name, answer in HOOKS.items()]


class Attributes:
    """It has every attribute that is asked for."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return mischief(Hooked())


class Liar:
    """Its class is a lie."""

    @property
    def __class__(self):
        return mischief(Call.now.draw.choice([str, int, float, dict, np.ndarray, Value, list]))


def inherited(base, *names):
    hooks = {name: hook(lambda self, n=name: getattr(base, n)(self)) for name in names}
    return type(f"Odd{base.__name__}", (base,), hooks)


OddInt = inherited(int, "__index__", "__float__", "__int__", "__repr__", "__str__")
OddFloat = inherited(float, "__float__", "__int__", "__repr__")
OddStr = inherited(str, "__str__", "__len__", "__iter__", "__hash__", "__repr__")
OddList = inherited(list, "__len__", "__iter__", "__repr__")
OddDict = inherited(dict, "__len__", "__iter__", "keys", "items", "values", "__repr__")


class OddArray(np.ndarray):
    def __array_finalize__(self, other):
        pass

    def __getitem__(self, place):
        return mischief(np.asarray(self)[place])

    def __len__(self):
        return mischief(len(np.asarray(self)))


def forever():
    """An iterable without an end."""
    return itertools.repeat("ab")


def stops(draw):
    yield from ["ab", "ba"][: draw.randrange(3)]
    raise HostileError("from an iterator")


def nested(depth):
    found = []
    for _ in range(depth):
        found = [found]
    return found


def containing_itself():
    found = ["ab"]
    found.append(found)
    return found


INTS = [0, 1, -1, 2, 3, 7, 255, 256, 1000, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32]
INTS += [2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**31), -(2**63), -(2**64), 10**13]
INTS += [10**30, 10**400, -(10**400), 10**4000, 10**10, 10**12]
FLOATS = [0.0, -0.0, 0.5, 1.0, 1.5, 2.0, -1.0, -0.5, 1e-300, 5e-324, 1e300, -1e300, 1e18]
FLOATS += [math.inf, -math.inf, math.nan, 1 - 1e-16, 3.4e38, 0.1]
STRINGS = ["", "a", "abc", " ", "\n", "\r\n", "\0", "a\0b", "\ud800", "a\udfffb", "é", "e\u0301"]
STRINGS += ["\U0001f600", "\x1b[31mred\x1b[0m", "\ufeffab", "a\u2028b", ".", "..", "ab\n\ncd"]
STRINGS += ["nan", "1e400", "sgd", "float32", "float16", "random", "lecture", "line", "relu", "-"]
STRINGS += ["--help", "-1", "%s%n{0}", "no/such/folder", "a" * 300, "\u202e", "<unk>", "$x^{$"]
BYTES = [
    b"",
    b"ab\nba\n",
    b"\xff\xfe",
    b"\xf0\x9f",
    b"a\0b",
    b"\r",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
]
OTHERS = [None, True, False, ..., NotImplemented, 1j, (), (1,), ("a", "b"), (0.5, 0.5), (1, 2, 3)]
OTHERS += [object, int, str, Value, len, math, print, slice(2), range(3), range(10**12)]
OTHERS += [fractions.Fraction(1, 3), decimal.Decimal("nan"), decimal.Decimal("0.1")]
OTHERS += [datetime.date(2020, 1, 1), memoryview(b"ab"), pathlib.Path("no/such"), HostileError]
OTHERS += [np.float64(0.5), np.float32("nan"), np.int64(-1), np.uint8(200), np.bool_(True)]
OTHERS += [np.str_("ab"), np.datetime64("2020-01-01"), np.void(b"abc"), np.longdouble(2), np.nan]
DTYPES = ["float64", "float32", "float16", "int8", "int32", "int64", "uint8", "uint16", "uint32"]
DTYPES += ["uint64", "bool", "complex128", "object", "U3", "S2", "M8[s]", ">u4", ">f8", "V3"]
SHAPES = [(), (0,), (1,), (3,), (0, 3), (3, 0), (2, 2), (1, 1, 1), (4, 1), (3, 27), (10_000,)]


def some_array(draw):
    array = np.zeros(draw.choice(SHAPES), dtype=draw.choice(DTYPES))
    if array.dtype.kind in "fc" and draw.random() < 0.3:
        array[...] = draw.choice(FLOATS)
    elif array.dtype.kind in "iu" and draw.random() < 0.3:
        array[...] = np.iinfo(array.dtype).max
    return array.view(OddArray) if draw.random() < 0.05 else array


def giant(draw):
    """Something large: as text, as a list, or as an array that is hardly there."""
    kinds = [
        lambda: "x" * 1_000_000,
        lambda: "ab \n" * 100_000,
        lambda: "é\ud800" * 50_000,
        lambda: b"ab\n" * 100_000,
        lambda: b"a" * 1_000_000,
        lambda: ["ab"] * 100_000,
        lambda: list(range(100_000)),
        lambda: {f"k{i}": i for i in range(10_000)},
        lambda: 10**4000,
        lambda: np.zeros(1_000_000, dtype=draw.choice(DTYPES)),
        lambda: np.zeros((500_000, 2), dtype=np.uint32),
        lambda: np.zeros((10**7, 2), dtype=np.uint32),
        lambda: np.broadcast_to(np.float64(0.1), (2**40,)),
        lambda: np.broadcast_to(np.uint32(0), (2**31, 3)),
        lambda: np.broadcast_to(np.float64(0.1), (2**29, 2**29)),
        lambda: nested(100_000),
        lambda: range(2**70),
        forever,
    ]
    return draw.choice(kinds)()


def hostile(draw):
    """An object with hooks."""
    kinds = [
        Hooked,
        Attributes,
        Liar,
        draw.choice(ONE_HOOK),
        draw.choice(ONE_HOOK),
        lambda: OddInt(draw.choice([0, 1, 2, 5])),
        lambda: OddFloat(0.5),
        lambda: OddStr("ab"),
        lambda: OddList(["ab", "ba"]),
        lambda: OddDict(a=1),
        lambda: stops(draw),
        lambda: io.BytesIO(b"ab\n"),
        containing_itself,
        lambda: nested(50),
        lambda: copy.copy,
    ]
    return draw.choice(kinds)()


def anything(draw):
    """A thing that has nothing to do with what is expected."""
    what = draw.random()
    if what < 0.3:
        return hostile(draw)
    if what < 0.4:
        return some_array(draw)
    if what < 0.43:
        return giant(draw)
    if what < 0.48:
        return draw.choice(
            [[], {}, set(), bytearray(b"ab"), {"a": 1}, [None], ["ab", 3], [[1], [2]]]
        )
    return draw.choice(draw.choice([INTS, FLOATS, STRINGS, BYTES, OTHERS, OTHERS]))


# Right arguments made wrong -----------------------------------------------------------------------


def wrong(draw, right):
    """Give something in the place of a right argument: like it, or anything at all."""
    if draw.random() < 0.45:
        return anything(draw)
    for kind, change in CHANGES:
        if isinstance(right, kind):
            return change(draw, right)
    return anything(draw)


def wrong_bool(draw, right):
    return draw.choice([not right, int(right), str(right), None, np.bool_(right), [right]])


def wrong_int(draw, right):
    near = [right + 1, right - 1, -right, right * 2, float(right), str(right), np.int64(right)]
    near += [np.float32(right), [right], OddInt(right), np.array(right), np.array([right])]
    return draw.choice(INTS if draw.random() < 0.6 else near)


def wrong_float(draw, right):
    near = [-right, right * 2, right / 2, str(right), np.float32(right), [right], OddFloat(right)]
    near += [np.array(right), complex(right), decimal.Decimal(right), 10**400, 1]
    return draw.choice(FLOATS if draw.random() < 0.6 else near)


def wrong_string(draw, right):
    place = draw.randint(0, len(right))
    inserted = right[:place] + draw.choice(STRINGS) + right[place:]
    near = [inserted, inserted, right[:place], right * 2, right.encode(), OddStr(right), [right]]
    near += [list(right), pathlib.Path(right), right.upper(), "q" + right, np.str_(right)]
    return draw.choice(STRINGS if draw.random() < 0.3 else near)


def wrong_bytes(draw, right):
    place = draw.randint(0, len(right))
    inserted = right[:place] + draw.choice(BYTES) + right[place:]
    near = [inserted, right[:place], bytearray(right), memoryview(right), right.decode("latin-1")]
    return draw.choice([*near, right * 3, [right], np.frombuffer(right, dtype=np.uint8)])


def wrong_list(draw, right):
    found = list(right)
    what = draw.randrange(8)
    place = draw.randrange(len(found)) if found else 0
    if what < 3 and found:
        found[place] = wrong(draw, found[place])
    elif what == 3:
        found.insert(place, anything(draw))
    elif what == 4:
        del found[place : place + draw.randint(1, 3)]
    elif what == 5:
        return draw.choice([tuple, iter, set_or_list, OddList, dict_of, one_by_one, reversed])(
            found
        )
    elif what == 6:
        found = found * draw.choice([0, 2, 20])
    else:
        try:
            return np.array(found)
        except Exception:
            return np.array(len(found))
    return tuple(found) if isinstance(right, tuple) and draw.random() < 0.8 else found


def set_or_list(found):
    try:
        return set(found)
    except TypeError:
        return found


def dict_of(found):
    return dict(enumerate(found))


def one_by_one(found):
    yield from found


def wrong_dict(draw, right):
    found = dict(right)
    if not found or draw.random() < 0.15:
        return {**found, anything_hashable(draw): anything(draw)}
    key = draw.choice(list(found))
    what = draw.randrange(5)
    if what < 3:
        found[key] = wrong(draw, found[key])
    elif what == 3:
        value = found.pop(key)
        if draw.random() < 0.5:
            found[anything_hashable(draw)] = value
    else:
        return OddDict(found)
    return found


def anything_hashable(draw):
    return draw.choice([*STRINGS, *INTS, None, (1, 2), b"x", 0.5, "x" * 100_000])


def wrong_array(draw, right):
    what = draw.randrange(12)
    if what < 3 and right.size and right.dtype.kind in "fiu":
        found = right.copy()
        values = (
            FLOATS if right.dtype.kind == "f" else [0, 1, 26, 27, 28, 255, 2**16 - 1, 2**32 - 1]
        )
        value = draw.choice(values)
        found.flat[draw.randrange(right.size)] = np.array(value).astype(right.dtype)
        return found
    if what == 3:
        return retyped(right, draw.choice(DTYPES))
    if what == 4:
        return np.repeat(right[..., None], 2, axis=-1)[..., 0]  # not contiguous
    if what == 5:
        return np.asfortranarray(right).T if draw.random() < 0.5 else np.asfortranarray(right)
    if what == 6:
        found = right.copy()
        found.flags.writeable = False
        return found
    if what == 7:
        return draw.choice([right[:0], right[:-1], right[..., :-1] if right.ndim else right])
    if what == 8:
        return draw.choice(
            [right[None], right.reshape(-1), np.concatenate([right.reshape(-1)] * 2)]
        )
    if what == 9:
        return draw.choice([right.tolist(), right.view(OddArray), np.ma.masked_array(right)])
    if what == 10:  # not aligned
        raw = np.zeros(right.nbytes + 1, dtype=np.uint8)
        raw[1:] = np.frombuffer(right.tobytes(), dtype=np.uint8)
        return raw[1:].view(right.dtype).reshape(right.shape)
    return np.flip(right) if right.ndim else right


def retyped(right, dtype):
    with np.errstate(all="ignore"):
        try:
            return right.astype(dtype)
        except (TypeError, ValueError):
            return np.zeros(right.shape, dtype)


def wrong_path(draw, right):
    near = [right.parent, right / "x", right.with_name("no-such"), str(right), str(right) + "\0"]
    near += [str(right).encode(), right.with_name("q" * 300), right.with_name("\ud800"), "", "."]
    near += [right.with_name("damaged"), right.with_name("folder"), right.with_name("link")]
    return draw.choice(near)


def wrong_object(draw, right):
    """A model, a vocabulary, a text: its class, or a copy with an attribute gone wrong."""
    if isinstance(right, type) or draw.random() < 0.3:
        return draw.choice([type(right), None, "model", Attributes()])
    try:
        found = copy.copy(right)
        name = draw.choice(list(vars(found)))
        setattr(found, name, wrong(draw, getattr(found, name)))
    except Exception:  # It has no attributes, or refuses them.
        return anything(draw)
    return found


CHANGES = [
    (
        bool,
        lambda draw, right: draw.choice(
            [not right, int(right), str(right), None, np.bool_(right), [right]]
        ),
    ),
    (int | np.integer, wrong_int),
    (float | np.floating, wrong_float),
    (str, wrong_string),
    (bytes, wrong_bytes),
    (pathlib.PurePath, wrong_path),
    (list | tuple, wrong_list),
    (dict, wrong_dict),
    (np.ndarray, wrong_array),
    (type(None), lambda draw, right: anything(draw)),
    (object, wrong_object),
]
