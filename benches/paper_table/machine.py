"""What times depend on besides the program."""

from __future__ import annotations

import os
import platform

from measure import cpu_model

__all__ = ["machine"]


def machine() -> dict[str, str | int]:
    """Return the processor's name, the number of cores that this process may use, and the Python.

    >>> sorted(machine())
    ['cores', 'cpu', 'python', 'system']
    """
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
