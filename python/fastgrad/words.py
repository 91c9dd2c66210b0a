"""Raises an error: words are part of `fastgrad.text`."""

raise ModuleNotFoundError(
    "there is no fastgrad.words; words are part of fastgrad.text", name="fastgrad.words"
)
