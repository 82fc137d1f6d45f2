"""Logging to stderr at WARNING, with nothing of any message in it.

Records of other packages may hold arguments, names and URIs, so of those only level, place and type of exception are
printed. Our own messages are written without input and printed as they are.
"""

from __future__ import annotations

import logging

OURS = ("memstore", "mcp_server")


class WithoutInput(logging.Formatter):
    """One line a record; no traceback, because its last line is the exception's text."""

    def format(self, record: logging.LogRecord) -> str:
        place = f"{record.levelname} {record.name}"
        if record.name.partition(".")[0] in OURS:
            return f"{place}: {record.getMessage()}"
        kind = record.exc_info[0] if record.exc_info else None
        return f"{place}:{record.funcName}:{record.lineno}" + (f" {kind.__name__}" if kind else "")


def log_to_stderr() -> None:
    """Set logging up for a process that serves; whatever libraries set up before is replaced."""
    handler = logging.StreamHandler()
    handler.setFormatter(WithoutInput())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("fastmcp", "mcp"):
        library = logging.getLogger(name)
        library.handlers[:] = []
        library.propagate = True
        library.setLevel(logging.WARNING)
    logging.raiseExceptions = False  # a handler that fails prints the record
