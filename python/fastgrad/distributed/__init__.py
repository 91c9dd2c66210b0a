"""Work shared out over processes, of one machine or of many.

A `Comm` is all that fastgrad needs to know of an engine: how many processes (ranks) there are,
which one this is, and how arrays travel between them. `as_comm` takes a communicator of mpi4py,
`torch.distributed`, or any object with the methods of a `Comm`. Neither package is imported
unless it is used; `pip install "fastgrad[mpi]"` installs mpi4py and MPICH.

>>> import numpy as np
>>> from fastgrad.distributed import as_comm
>>> comm = as_comm(None)
>>> comm.rank, comm.size
(0, 1)
"""

from .comm import Comm, MPIComm, SelfComm, TorchComm, as_comm, mpi_world

__all__ = ["Comm", "MPIComm", "SelfComm", "TorchComm", "as_comm", "mpi_world"]
