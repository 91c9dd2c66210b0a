"""Fork only when no other thread is importing a module of ours.

A child has none of its parent's other threads. A module that one of them was importing would stay
half imported there, and its lock taken: the child's first use of it would wait for ever.
"""

import os
import sys

# Ours, and those that we import where they are first needed.
_PACKAGES = ("fastgrad", "matplotlib", "numpy", "safetensors", "tqdm")


def _finish_imports() -> None:
    """Wait for the imports that other threads have begun."""
    for name, module in list(sys.modules.items()):
        if name.split(".", 1)[0] in _PACKAGES and _is_initializing(module):
            try:
                # Waits for the thread that is importing it; returns at once if it is this one.
                __import__(name)
            except Exception:  # the thread whose import failed is told
                continue


def _is_initializing(module: object) -> bool:
    return getattr(getattr(module, "__spec__", None), "_initializing", False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_finish_imports)
