"""What memstore refuses, and how it says so.

Every refusal is a `MemStoreError` with a stable `code`, what went wrong, the state the store was left in, and the call
to make next. No message repeats what the caller sent: inputs may be hostile, and errors are shown to models.
"""

from __future__ import annotations

from typing import ClassVar


class MemStoreError(Exception):
    """The root of all refusals. `str()` gives `code: what. state. next call`."""

    code: str = "error"
    state: str = "Nothing was written."
    next_call: str = ""
    exit_status: ClassVar[int] = 1

    def __init__(self, what: str = "", *, code: str = "", state: str = "", next_call: str = "") -> None:
        self.what = (what or (type(self).__doc__ or "").partition("\n")[0]).rstrip(".")
        self.code = code or self.code
        self.state = state or self.state
        self.next_call = next_call or self.next_call
        super().__init__(self.what)

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.code}: {self.what}.", self.state, self.next_call) if part)


class InvalidInput(MemStoreError):
    """The input is not of the form that is asked for."""

    code = "invalid"
    exit_status = 2


class NotFound(MemStoreError):
    """There is nothing of that name here, or it is not yours to see."""

    code = "not_found"
    exit_status = 3


class Conflict(MemStoreError):
    """What is there already contradicts what was asked."""

    code = "conflict"
    exit_status = 4


class Denied(MemStoreError):
    """The caller may not do this."""

    code = "denied"
    exit_status = 5


class IntegrityError(MemStoreError):
    """Something signed or hashed does not verify."""

    code = "integrity"
    exit_status = 6


class StoreUnavailable(MemStoreError):
    """The store cannot be opened or written."""

    code = "unavailable"
    exit_status = 7


class InternalError(MemStoreError):
    """A defect of memstore itself."""

    code = "internal"
    state = "The call was rolled back."
    next_call = "Try once more; then report it with the server's log."
    exit_status = 70


def read_only_copy() -> StoreUnavailable:
    """What every write to an imported copy of a log is answered with."""
    return StoreUnavailable(
        "This is a copy of a log that lives elsewhere: it is read, and never written",
        code="read_only_copy",
        next_call="Write to the store that it was exported from.",
    )
