"""What counts of n-grams refuse: texts, ids and arguments, each by its name."""

import numpy as np
import pytest
from fastgrad._core import NgramCounts, count_bytes, count_ids, count_items, count_path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"order": 4}, "order is 4"),
        ({"characters": "ba"}, r"characters\[1\] is 'a'"),
        ({"characters": "aa"}, r"characters\[1\] is 'a'"),
        ({"characters": "a"}, "ids: id 2 at position 3;"),
        ({"items": 2}, "items is 2;"),
        ({"ids": [[0, 1, 0], [1, 2, 0], [2, 0, 0]]}, r"ids has shape \(3, 3\)"),
        ({"ids": [[0, 1], [1, 2]]}, r"ids has shape \(2, 2\)"),
        ({"ids": [[1, 2], [0, 1], [2, 0]]}, "entry 1 is not above"),
        ({"ids": [[0, 0], [1, 2], [2, 0]]}, "entry 0 has a boundary"),
        ({"counts": [1, 0, 1]}, "entry 1 has count 0"),
    ],
)
def test_entries_are_checked(changed, message):
    parts = {"order": 2, "characters": "ab", "items": 1}
    parts |= {"ids": [[0, 1], [1, 2], [2, 0]], "counts": [1, 1, 1]} | changed
    parts["ids"] = np.array(parts["ids"], np.uint32)
    parts["counts"] = np.array(parts["counts"], np.uint64)
    with pytest.raises(ValueError, match=message):
        NgramCounts.from_entries(**parts)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: count_bytes(b""), ValueError, "the text is empty"),
        (lambda: count_bytes(b"\xef\xbb\xbf \r\n\x1f\n"), ValueError, "the text is empty"),
        (lambda: count_bytes("ab"), TypeError, "data is of type str;"),
        (lambda: count_bytes(b"ab", "2"), TypeError, r"order is '2';"),
        (lambda: count_bytes(b"ab", 10**30), ValueError, r"order is 10+;"),
        (lambda: count_path("x", 3, "x"), TypeError, "threads is 'x';"),
        (lambda: count_items(["a"], 2, 1.0), TypeError, "threads is 1.0;"),
        (lambda: count_bytes(b"ab", threads=-(10**30)), ValueError, "threads is -10+;"),
        (lambda: count_path(3), TypeError, "'path'"),
        (lambda: count_ids(np.ones(3, np.uint32), 3), TypeError, "characters is of type int; exp"),
        (lambda: count_ids(np.ones(3, np.uint32), "\ud800"), ValueError, "characters is no text"),
        (lambda: count_bytes(b"ab").with_characters(3), TypeError, "characters is of type int"),
        (lambda: count_bytes(b"ab").top("x"), TypeError, "k is 'x';"),
        (lambda: count_bytes(b"ab").top(-1), ValueError, "k is -1;"),
        (lambda: count_bytes(b"ab", 1), ValueError, "order is 1;"),
        (lambda: count_bytes(b"ab", -2), ValueError, "order is -2"),
        (lambda: count_bytes(b"ab", threads=0), ValueError, "threads is 0;"),
        (lambda: count_bytes(b"ab", threads=1025), ValueError, "threads is 1025"),
        (lambda: count_bytes(b"a\nb\xff"), ValueError, "the text, line 2: byte 0xff at offset 3"),
        (lambda: count_bytes(b"\xed\xa0\x80"), ValueError, "line 1: byte 0xed at offset 0"),
        (lambda: count_items("ab"), TypeError, "items is a str;"),
        (lambda: count_items(3), TypeError, "items is of type int;"),
        (lambda: count_items([]), ValueError, "items is empty"),
        (lambda: count_items(["", " "]), ValueError, "items is empty"),
        (lambda: count_items(["a", 3]), TypeError, r"items\[1\] is of type int;"),
        (lambda: count_items(["a", "b\ud800"]), ValueError, r"items\[1\] is no text.*ud800"),
        (lambda: count_items(["a", " b\nc\n"]), ValueError, r"items\[1\] is ' b\\nc\\n', which"),
        (lambda: count_items(["a\n", "b\nc", 3]), ValueError, r"items\[1\] is 'b\\nc', which"),
        (lambda: count_items(["a"] * 200_000 + ["b\nc"]), ValueError, r"items\[200000\] is 'b"),
        (lambda: count_ids([1], "a"), TypeError, "ids is of type list;"),
        (lambda: count_ids(np.array([1]), "a"), TypeError, "ids has dtype int64;.*uint32"),
        (lambda: count_ids(np.zeros(3, np.uint32), "a"), ValueError, "ids is empty"),
        (
            lambda: count_ids(np.array([1, 2], np.uint32), "a"),
            ValueError,
            "ids: id 2 at position 1;",
        ),
        (lambda: count_ids(np.array([1], np.uint32), "ba"), ValueError, r"characters\[1\] is 'a'"),
        (lambda: count_bytes(b"ab").with_characters("a"), ValueError, "characters lacks 'b'"),
        (lambda: count_bytes(b"ab").with_characters("ba"), ValueError, r"characters\[1\]"),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
