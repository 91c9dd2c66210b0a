"""`python -m fastgrad` is the command `fastgrad`."""

import sys

from .cli import main

sys.exit(main())
