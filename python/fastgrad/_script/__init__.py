"""Runs a script with `engine.Value` in the place of its own scalar class.

| file | what is in it |
| --- | --- |
| `running.py` | runs a script as `python FILE` does, and has its classes swapped |
| `swap.py` | compares a class with `engine.Value`, and puts that in its place |
| `trials.py` | what a class gives on sample numbers |
| `fields.py` | attributes and constructors under other names |
| `safe.py` | which methods may be called on sample numbers |
"""

from .running import run

__all__ = ["run"]
