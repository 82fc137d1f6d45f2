"""Who may do what, as pure functions of the registry (DESIGN T1, T3, T8, T9, T13).

Every question is answered `Allowed` or `Denied(reason)`; what is empty, unknown or missing is denied. Ceilings bound
labels and never raise them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from memstore.core.labels import Cause, CauseCode, Label, SignatureState
from memstore.core.offers import (
    ContractAdded,
    ContractDeprecated,
    HandoffAnswered,
    HandoffDecided,
    HandoffOffered,
    HandoffReceived,
)
from memstore.core.statements import (
    OPERATOR_NAME,
    ContextReset,
    Erased,
    Granted,
    GrantRevoked,
    KeyAction,
    KeyChanged,
    Kind,
    PrincipalRegistered,
    QuotaSet,
    Recorded,
    Restored,
    Retracted,
    Reviewed,
    Role,
    SessionEnded,
    SessionStarted,
    Statement,
    ToolRegistered,
    Withdrawal,
)

MAX_CHAIN = 32


@dataclass(frozen=True, slots=True)
class Principal:
    """A registered agent, person, tool, checker or operator, as the log says at one position."""

    name: str
    role: Role
    under: str = ""
    open_world: bool = False
    scopes: tuple[str, ...] = ()
    team: str = ""
    version: str = ""
    capabilities: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()

    @property
    def ceiling(self) -> Label:
        return author_bound(self).label

    @property
    def has_mark(self) -> bool:
        """Marks are of agents: people and checkers have none (T2)."""
        return self.role in (Role.WORKER, Role.LEAD, Role.TOOL)


@dataclass(frozen=True, slots=True)
class Tool:
    """A registered tool, or all tools whose names begin as `pattern` says (a trailing `*`)."""

    pattern: str
    open_world: bool
    max_ttl_seconds: int = 0

    def covers(self, name: str) -> bool:
        return name.startswith(self.pattern[:-1]) if self.pattern.endswith("*") else name == self.pattern


@dataclass(frozen=True, slots=True)
class KeyState:
    """A public key and the span of log positions in which its signatures count."""

    keyid: str
    principal: str
    public: bytes
    added: int
    retired: int | None = None
    compromised: int | None = None

    def in_use_at(self, seq: int) -> bool:
        """Whether it was the principal's key there; the statement that retires it is still signed by it."""
        return self.added <= seq and (self.retired is None or seq <= self.retired)

    def stands_at(self, seq: int) -> bool:
        return self.in_use_at(seq) and (self.compromised is None or seq < self.compromised)


@dataclass(frozen=True, slots=True)
class Allowed:
    pass


@dataclass(frozen=True, slots=True)
class Denied:
    reason: str


Decision = Allowed | Denied


def author_bound(principal: Principal | None) -> Cause:
    """The ceiling of an author's words (T1); an author that nobody registered is worth nothing."""
    if principal is None:
        return Cause(CauseCode.AUTHOR_UNKNOWN, Label.UNTRUSTED)
    if principal.open_world:
        return Cause(CauseCode.AUTHOR_OPEN_WORLD, Label.TAINTED)
    match principal.role:
        case Role.HUMAN | Role.LEAD | Role.OPERATOR:
            return Cause(CauseCode.AUTHOR_WORKER, Label.TRUSTED)
        case Role.WORKER | Role.CHECKER:
            return Cause(CauseCode.AUTHOR_WORKER, Label.ATTRIBUTED)
        case Role.TOOL:
            return Cause(CauseCode.AUTHOR_TOOL, Label.ATTRIBUTED)


def kind_bound(kind: Kind, tool: Tool | None) -> Cause | None:
    """The ceiling of a kind (T1): outside content is untrusted, tool results are worth what their tool is."""
    match kind:
        case Kind.EXTERNAL:
            return Cause(CauseCode.KIND_EXTERNAL, Label.UNTRUSTED)
        case Kind.TOOL_RESULT:
            return _tool_bound(tool)
        case _:
            return None


def _tool_bound(tool: Tool | None) -> Cause:
    if tool is None:
        return Cause(CauseCode.TOOL_UNREGISTERED, Label.TAINTED)
    if tool.open_world:
        return Cause(CauseCode.TOOL_OPEN_WORLD, Label.UNTRUSTED)
    return Cause(CauseCode.TOOL_REGISTERED, Label.ATTRIBUTED)


def signature_bound(state: SignatureState) -> Cause | None:
    match state:
        case SignatureState.INVALID:
            return Cause(CauseCode.SIGNATURE_INVALID, Label.UNTRUSTED)
        case SignatureState.UNKNOWN_KEY:
            return Cause(CauseCode.SIGNATURE_UNKNOWN_KEY, Label.UNTRUSTED)
        case SignatureState.VALID | SignatureState.ATTESTED:
            return None


def is_outside(kind: Kind, tool: Tool | None) -> bool:
    """Whether observing this shows the observer outside content (T2)."""
    return kind is Kind.EXTERNAL or (kind is Kind.TOOL_RESULT and tool is not None and tool.open_world)


def may_author(statement: Statement, author: Principal) -> Decision:
    """Whether `author` may make such a statement at all; what it refers to is judged where that is known."""
    match statement:
        case PrincipalRegistered():
            first = statement.name == OPERATOR_NAME == author.name
            return Allowed() if first or author.role is Role.OPERATOR else Denied("only the operator registers")
        case ContextReset() | Granted() | GrantRevoked():
            return _may_give(author)
        case Reviewed():
            return Denied("the operator reviews nothing") if author.role is Role.OPERATOR else Allowed()
        case Retracted():
            return Denied("a checker retracts nothing") if author.role is Role.CHECKER else Allowed()
        case ToolRegistered() | Erased() | Restored() | QuotaSet():
            return Allowed() if author.role is Role.OPERATOR else Denied("only the operator does this")
        case KeyChanged(action=KeyAction.ROTATED):
            own = author.name == statement.principal
            return Allowed() if own else Denied("a key is rotated by its owner; the operator rekeys")
        case KeyChanged():
            return Allowed() if author.role is Role.OPERATOR else Denied("only the operator does this")
        case SessionStarted():
            return may_use_scope(author, statement.scope)
        case SessionEnded():
            return Allowed() if author.scopes else Denied("this principal has no scope")
        case HandoffOffered():
            return may_use_scope(author, statement.scope)
        case HandoffReceived() | HandoffAnswered():
            return Allowed() if author.scopes else Denied("this principal has no scope")
        case HandoffDecided():
            return Allowed() if author.role is Role.HUMAN else Denied("only a person decides at a gate")
        case ContractAdded() | ContractDeprecated():
            known = author.role in (Role.OPERATOR, Role.HUMAN)
            return Allowed() if known else Denied("only a person or the operator changes contracts")
        case Recorded():
            if author.role in (Role.CHECKER, Role.OPERATOR):
                return Denied(f"a principal of role {author.role} writes no records")
            return may_use_scope(author, statement.scope)
        case _:
            return Denied("this act is unknown")


def may_be_signed(state: SignatureState, author: Principal) -> Decision:
    """Whether an act of this author may be logged with such a signature: people and operators sign for themselves (T3).

    An attested act was made by whoever held a token; a person's word would then be worth what a configuration file is.
    """
    if state is SignatureState.ATTESTED and author.role in (Role.HUMAN, Role.OPERATOR):
        return Denied("people and operators act with their own key")
    return Allowed()


def _may_give(author: Principal) -> Decision:
    """Fresh contexts and grants come from people, the operator and leads; whom a lead stands above is judged later."""
    gives = author.role in (Role.OPERATOR, Role.HUMAN, Role.LEAD) and not author.open_world
    return Allowed() if gives else Denied("only a person, the operator or a lead gives contexts")


def may_use_scope(principal: Principal, scope: str) -> Decision:
    """T13: a context reads and writes one scope, granted to its principal."""
    return Allowed() if scope and scope in principal.scopes else Denied("there is no such scope for this principal")


def stands_above(name: str, below: str, under: Callable[[str], str]) -> bool:
    """Whether `name` is in the chain of `--under` above `below`; a broken or endless chain denies."""
    current = below
    for _ in range(MAX_CHAIN):
        current = under(current)
        if not current:
            return False
        if current == name:
            return True
    return False


def may_supersede(*, author: Principal, old_author: str, above: bool, label: Label, old_label: Label) -> Decision:
    """T8: whoever may retract it, with a label at least as high."""
    entitled = author.name == old_author or author.role is Role.HUMAN or (author.role is Role.LEAD and above)
    if not entitled:
        return Denied("only its author, a lead above the author, or a person replaces a record")
    if label < old_label:
        return Denied("the successor stands lower than what it would replace")
    return Allowed()


TYPED = "typed"  # the name of the built-in checker, which carries less than a checker does (T6)


class Carry(StrEnum):
    """What an endorsement can carry, by who its author is (T6); what it does carry depends on marks as well."""

    NOTHING = "nothing"
    LEAD = "lead"
    PERSON = "person"
    CHECKER = "checker"
    TYPED = "typed"
    # T3: of a lead, or of a person or checker, under a grant that goes to `attributed`
    LEAD_BELOW = "lead_below"
    BELOW = "below"


# What an endorsement by a lead carries hangs on what its context was shown.
BY_MARK = frozenset({Carry.LEAD, Carry.LEAD_BELOW})
# Whatever else holds, these carry to `attributed`.
BELOW_TRUSTED = frozenset({Carry.TYPED, Carry.LEAD_BELOW, Carry.BELOW})
_UNDER_GRANT = {Carry.LEAD: Carry.LEAD_BELOW, Carry.PERSON: Carry.BELOW, Carry.CHECKER: Carry.BELOW}


def carry_under(carry: Carry, ceiling: Label) -> Carry:
    """What an endorsement can carry under a grant with this ceiling: no more than what is written there (T3)."""
    if ceiling < Label.ATTRIBUTED:
        return Carry.NOTHING
    return _UNDER_GRANT.get(carry, carry) if ceiling < Label.TRUSTED else carry


def carry_of(reviewer: Principal, *, own: bool, above: bool, saw_whole: bool) -> Carry:
    """T6: a lead above the author, a person, a checker; who saw it whole, and neither wrote nor signed it."""
    if own or reviewer.open_world or not saw_whole:
        return Carry.NOTHING
    match reviewer.role:
        case Role.HUMAN:
            return Carry.PERSON
        case Role.CHECKER:
            return Carry.TYPED if reviewer.name == TYPED else Carry.CHECKER
        case Role.LEAD:
            return Carry.LEAD if above else Carry.NOTHING
        case Role.WORKER | Role.TOOL | Role.OPERATOR:
            return Carry.NOTHING


def may_retract(
    retractor: Principal, *, ceiling: Label, author: str, above: bool, reason: Withdrawal, mark: Label, label: Label
) -> Decision:
    """T7: its author, a lead above, a person, the operator; else it is a dispute. `ceiling` is that of its grant."""
    own = retractor.name == author
    if own and reason is Withdrawal.LEAKED:
        return Allowed()
    if not (own or retractor.role in (Role.HUMAN, Role.OPERATOR) or (retractor.role is Role.LEAD and above)):
        return Denied("only its author, a lead above the author, a person or the operator retracts a record")
    if retractor.has_mark and mark < Label.ATTRIBUTED:
        return Denied("this context has read outside content")
    if label > retractor.ceiling:
        return Denied("the record stands above who would retract it")
    if label > ceiling:
        return Denied("the record stands above the grant of this context")
    return Allowed()


def spreads(retractor: Principal, reason: Withdrawal) -> bool:
    """T5: whether what rests on the record falls with it; a worker's own word withdraws no more than itself."""
    return reason is Withdrawal.POISONED and retractor.role in (Role.LEAD, Role.HUMAN, Role.OPERATOR)
