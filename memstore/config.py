"""Settings and the composition root: the one place that reads the environment and puts a store together.

`open_store` checks the log's head before anything is served and refuses a store that was changed outside memstore.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import sys
import time
from base64 import b32encode
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from memstore.admin import House, ignore_file, register_operator
from memstore.core.statements import OPERATOR_NAME
from memstore.embed.onnx import OnnxEmbedder
from memstore.embedding import Drainer, Embedding, Model
from memstore.errors import InvalidInput, MemStoreError, NotFound, StoreUnavailable
from memstore.grants import take
from memstore.index.exact import ExactIndex
from memstore.log import replay, verify_head
from memstore.ports import Embedder, Store, Unit, VectorIndex
from memstore.service import HANDOFF_LEASE_SECONDS, LaunchOf, MemStore
from memstore.signing import STORE_KEY, CopyKey, Keyring, Signatory, Signer, StoreKey
from memstore.stores.projection import is_unfolded
from memstore.stores.sqlite import SqliteStore
from memstore.surroundings import DRAIN_LOCK
from memstore.write import Author

DATABASE = "memstore.db"
MODELS = "models"  # in the store's folder: the default model's graph, converted
INDEXES = ("exact", "chroma")
NO_MODEL = "none"
DEFAULT_FOLDER = ".memstore"
MOST_LEASE_SECONDS = 24 * 3600
Clock = Callable[[], int]


def system_clock() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def ask_on_terminal(prompt: str) -> str:
    """A passphrase, typed by a person; never from the environment or a pipe (T3)."""
    if not sys.stdin.isatty():
        raise StoreUnavailable(
            "A passphrase is needed, and there is no terminal to ask for it",
            code="key_locked",
            next_call="Run the command in a terminal.",
        )
    return getpass.getpass(prompt)


def new_passphrase() -> str:
    first = ask_on_terminal("New passphrase (at least 8 characters): ")
    if ask_on_terminal("Again: ") != first:
        raise InvalidInput("The two passphrases differ", code="weak_passphrase", next_call="Try again.")
    return first


def folder_of(store: str | Path | None) -> Path:
    """The store's folder: what was named, else MEMSTORE_STORE, else ./.memstore."""
    return Path(store or os.environ.get("MEMSTORE_STORE") or DEFAULT_FOLDER).expanduser()


def init_store(store: str | Path | None = None, *, passphrase: str | None = None, clock: Clock = system_clock) -> str:
    """Make a store with keys and operator; the store id. `passphrase` None leaves the operator's key unprotected."""
    folder = folder_of(store)
    refuse_existing(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore_file(folder)
        return _made(folder, passphrase, clock)
    except OSError as error:
        raise _unwritable() from error


def _unwritable() -> StoreUnavailable:
    return StoreUnavailable(
        "The store's folder cannot be written", code="read_only", next_call="Check its owner and permissions."
    )


def refuse_existing(folder: Path) -> None:
    """Raise `StoreUnavailable` where a store is, or the keys of one that was: they are not to be had again."""
    try:
        store, keys = (folder / DATABASE).exists(), Keyring(folder / "keys").has(STORE_KEY)
    except OSError as error:
        raise _unwritable() from error
    if store:
        raise StoreUnavailable("A store is there already", code="store_exists", next_call="Choose another folder.")
    if keys:
        raise StoreUnavailable(
            "There are keys of a store here, but no store",
            code="keys_exist",
            next_call="Restore its database, or move the keys away if they are of no use.",
        )


def _made(folder: Path, passphrase: str | None, clock: Clock) -> str:
    keyring = Keyring(folder / "keys")
    root, operator = Signer.generate(STORE_KEY), Signer.generate(OPERATOR_NAME)
    key = StoreKey(root)
    # Made under another name and moved: a crash leaves no store without its first statement.
    fresh = folder / f"new-{secrets.token_hex(4)}"
    fresh.mkdir(mode=0o700)
    try:
        made = SqliteStore.create(fresh / DATABASE, clock, store=key.store, public_key=root.public)
        with made.write() as unit:
            register_operator(unit, key, operator)
        made.empty_write_ahead_log()
        made.close()
        (fresh / DATABASE).chmod(0o600)  # in a folder that was there before, others may come in
        keyring.save(operator, passphrase, replace=True)
        keyring.save(root, None)
        (fresh / DATABASE).replace(folder / DATABASE)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return key.store


def lease_seconds() -> int:
    """How long an accepted handoff is held without a heartbeat: MEMSTORE_LEASE_SECONDS, else 900."""
    text = os.environ.get("MEMSTORE_LEASE_SECONDS") or str(HANDOFF_LEASE_SECONDS)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MOST_LEASE_SECONDS):
        raise InvalidInput(
            "MEMSTORE_LEASE_SECONDS is no number of seconds up to a day", next_call="Unset it, or pass 1 to 86400."
        )
    return int(text)


def open_house(store: str | Path | None = None, *, clock: Clock = system_clock, check: bool = True) -> House:
    """The store with its keys, for the operator's acts; `check` False opens a store that was changed, to audit it."""
    folder = folder_of(store)
    found = SqliteStore.open(folder / DATABASE, clock)
    with ExitStack() as refused:
        refused.callback(found.close)
        keyring = Keyring(folder / "keys")
        with found.read() as unit:
            head = unit.log.head()
            key = CopyKey(head.store) if head.copied else StoreKey(keyring.load(STORE_KEY))
            if not head.copied and head.public_key != key.signer.public:
                raise StoreUnavailable(
                    "The store's key is of another store",
                    code="wrong_key",
                    next_call="Restore keys and store together.",
                )
            if check:
                verify_head(unit)
            upgraded = is_unfolded(unit.conn)
        if upgraded:
            with nullcontext() if check else suppress(MemStoreError):
                _fold_anew(SqliteStore(found.path, clock, loads=True))
        refused.pop_all()
    return House(found, key, keyring, ask_on_terminal)


def _fold_anew(store: SqliteStore) -> None:
    """Once after an upgrade: what an older store did not project is what the log gives."""
    try:
        with store.write() as unit:
            if is_unfolded(unit.conn):
                for _ in replay(unit):
                    """What is wrong with the log is for `log verify` to say."""
    finally:
        store.close()


def embedding_of(store: Store, folder: Path, model: str | Embedder | None = None) -> Embedding:
    """The model that this process embeds with: `model`, else what MEMSTORE_MODEL names, else the default one.

    "none" turns embedding off. A model that is not here costs the vectors, never the store: search says so, and why.
    """
    asked = os.environ.get("MEMSTORE_MODEL", "") if model is None else model
    lock = folder / DRAIN_LOCK
    if asked == NO_MODEL:
        return Embedding(store, None, lock=lock)
    try:
        return Embedding(store, Model(_embedder(asked, folder)), lock=lock)
    except MemStoreError as error:
        return Embedding(store, None, lock=lock, refusal=error)


def _embedder(asked: str | Embedder, folder: Path) -> Embedder:
    if not isinstance(asked, str):
        return asked
    if asked:
        from memstore.embed.sentence_transformers import SentenceTransformersEmbedder

        return SentenceTransformersEmbedder(asked)
    return OnnxEmbedder(folder / MODELS)


def _index(name: str, folder: Path) -> VectorIndex:
    if name not in INDEXES:
        raise InvalidInput("There is no such index", next_call=f"Use one of: {', '.join(INDEXES)}.")
    if name == "chroma":
        from memstore.index.chroma import ChromaIndex

        return ChromaIndex(folder / "chroma")
    return ExactIndex()


def forget_index(folder: Path) -> bool:
    """Remove what an approximate index keeps of a store, erased records and all; False where a process has it open."""
    if not (folder / "chroma").is_dir():
        return True
    from memstore.index.chroma import ChromaIndex

    index = ChromaIndex(folder / "chroma")
    index.forget()
    forgotten = not index.problem
    index.close()
    return forgotten


def open_store(
    store: str | Path | None = None,
    *,
    agent: str,
    scope: str = "",
    continuing: bool = False,
    require_grant: bool = False,
    lockdown: bool = False,
    clock: Clock = system_clock,
    index: str = "exact",
    model: str | Embedder | None = None,
    embeds_behind: bool = True,
) -> MemStore:
    """Open the store as `agent`: a new context per call, or the agent's one continuing context (the command line's).

    `index` "chroma" keeps an approximate index of big tiers, which one process at a time may do; `model` is as
    `embedding_of` has it; `embeds_behind` embeds what waits on a thread, until the store is closed.

    With `require_grant` the context is one that was given to the agent, or none (T3); with `lockdown` nothing that is
    quarantined is opened.
    """
    engine = open_engine(store, clock=clock, index=index, model=model, embeds_behind=embeds_behind)
    house = engine.house
    launch = "c-" + b32encode(secrets.token_bytes(10)).decode().lower()

    def continued(unit: Unit, scope: str) -> str:
        return f"cli/{agent}/{scope}/{unit.registry.epoch(agent, scope)}"

    with ExitStack() as refused:
        refused.callback(engine.close)
        signer = Signer.generate(agent) if engine.is_copy else house.signer(agent)
        if require_grant:
            launch = granted(house, Author(signer, launch), scope)
        launch_of = continued if continuing else lambda unit, scope: launch
        memory = engine.as_seen_by(signer, scope=scope, launch_of=launch_of, lockdown=lockdown)
        refused.pop_all()
    return memory


@dataclass(frozen=True, slots=True)
class Engine:
    """An open store with all that its users share: model, index, and the thread that embeds what waits."""

    house: House
    embedding: Embedding
    index: VectorIndex
    drainer: Drainer | None
    lease_seconds: int

    @property
    def is_copy(self) -> bool:
        """Whether this is the copy of a log that lives elsewhere: nothing is written to it, nothing signed for it."""
        return isinstance(self.house.key, CopyKey)

    def as_seen_by(
        self, signer: Signatory, *, scope: str = "", launch_of: LaunchOf, lockdown: bool = False
    ) -> MemStore:
        """The store as one principal uses it: light, and closed with the engine; the only one may close it too."""
        return MemStore(
            self.house.store,
            self.house.key,
            signer,
            embedding=self.embedding,
            index=self.index,
            scope=scope,
            launch_of=launch_of,
            drainer=self.drainer,
            lockdown=lockdown,
            lease_seconds=self.lease_seconds,
        )

    def close(self) -> None:
        if self.drainer is not None:
            self.drainer.close()
        self.index.close()
        self.house.store.close()


def open_engine(
    store: str | Path | None = None,
    *,
    clock: Clock = system_clock,
    index: str = "exact",
    model: str | Embedder | None = None,
    embeds_behind: bool = True,
) -> Engine:
    """What `open_store` opens, for whoever serves several principals at once; close it."""
    house = open_house(store, clock=clock)
    with ExitStack() as refused:
        refused.callback(house.store.close)
        copied = isinstance(house.key, CopyKey)
        embedding = embedding_of(house.store, folder_of(store), NO_MODEL if copied else model)
        drainer = Drainer(embedding) if embeds_behind and not copied else None
        made = Engine(house, embedding, _index(index, folder_of(store)), drainer, lease_seconds())
        refused.pop_all()
    return made


def granted(house: House, author: Author, scope: str) -> str:
    """The launch of a fresh context that this principal was given in a scope; raises `Denied` where there is none."""
    with house.store.read() as unit:
        principal = unit.view.principal(author.name)
    if principal is None:
        raise NotFound("There is no such principal", code="unknown_principal", next_call="Run `memstore agent add`.")
    return take(house.store, author, principal, scope or next(iter(principal.scopes), ""))
