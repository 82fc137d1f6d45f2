"""The command line: the verbs of the facade as an agent's commands, and what an operator does to a store (DESIGN 8).

Answers are JSON on stdout, or readable on a terminal; refusals are one line on stderr, with the exit status of their
family. Nothing that was stored reaches a terminal unescaped.
"""

from __future__ import annotations

from memstore.cli.root import root


def main() -> None:
    """The console script `memstore`; never returns."""
    root(prog_name="memstore")
