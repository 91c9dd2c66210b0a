"""What the commands of `fastgrad` do, a module for each.

Each has `add_to`, which declares its arguments, and a function that runs it. numpy, models and
matplotlib are imported only when a command runs, so that `--help` answers at once.
"""
