"""What may import what, and who may do what: DESIGN section 4, held against the source itself.

`LAYERS` is the map: every module stands in it once, and imports only from its own layer or from those below.
Nothing here runs the code it looks at, so a module that cannot be imported is still checked.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("memstore", "mcp_server")

# From the bottom up. `x.*` stands for all that lies in the package x; an exact name goes before it.
LAYERS: dict[str, tuple[str, ...]] = {
    "errors": ("memstore.errors",),
    "core": (
        "memstore.core",
        "memstore.core.boundary",
        "memstore.core.canonical",
        "memstore.core.causes",
        "memstore.core.contexts",
        "memstore.core.entries",
        "memstore.core.epochs",
        "memstore.core.fold",
        "memstore.core.forms",
        "memstore.core.handoffs",
        "memstore.core.keys",
        "memstore.core.labels",
        "memstore.core.merkle",
        "memstore.core.notes",
        "memstore.core.offers",
        "memstore.core.passages",
        "memstore.core.policy",
        "memstore.core.ranking",
        "memstore.core.records",
        "memstore.core.reviews",
        "memstore.core.state",
        "memstore.core.strict_json",
        "memstore.core.trust",
        "memstore.core.closed",
        "memstore.core.statements",
    ),
    "ports": (
        "memstore.addresses",
        "memstore.cursors",
        "memstore.handoff_ports",
        "memstore.moments",
        "memstore.past_ports",
        "memstore.ports",
        "memstore.quota_ports",
        "memstore.requests",
        "memstore.token_ports",
    ),
    "signing": ("memstore.envelopes", "memstore.keyfiles", "memstore.remote_signing", "memstore.signing"),
    # `render` stands here, below `query`: what fits the token budget decides what is disclosed (ADR 0006).
    "verbs": (
        "memstore.admin",
        "memstore.adr",
        "memstore.answers",
        "memstore.attestations",
        "memstore.briefs",
        "memstore.bundles",
        "memstore.bundling",
        "memstore.candidates",
        "memstore.causes",
        "memstore.delta",
        "memstore.explaining",
        "memstore.events",
        "memstore.looking_back",
        "memstore.proving",
        "memstore.checking",
        "memstore.contracts",
        "memstore.credentials",
        "memstore.embedding",
        "memstore.exporting",
        "memstore.gates",
        "memstore.handoffs",
        "memstore.inbox",
        "memstore.issuers",
        "memstore.inspecting",
        "memstore.offering",
        "memstore.outline",
        "memstore.history",
        "memstore.importing",
        "memstore.insight",
        "memstore.log",
        "memstore.markdown",
        "memstore.prov",
        "memstore.log_lines",
        "memstore.placing",
        "memstore.query",
        "memstore.quotas",
        "memstore.reading",
        "memstore.recording",
        "memstore.disclosing",
        "memstore.grants",
        "memstore.queue",
        "memstore.relabel",
        "memstore.receiving",
        "memstore.report",
        "memstore.reviewing",
        "memstore.render",
        "memstore.retention",
        "memstore.serving",
        "memstore.sessions",
        "memstore.surroundings",
        "memstore.tokens",
        "memstore.verifying",
        "memstore.write",
    ),
    "adapters": (
        "memstore.embed",
        "memstore.embed.*",
        "memstore.index",
        "memstore.index.*",
        "memstore.service",
        "memstore.stores",
        "memstore.stores.*",
    ),
    "config": ("memstore", "memstore.backups", "memstore.config", "memstore.transfer"),
    "cli": ("memstore.__main__", "memstore.cli", "memstore.cli.*", "memstore.demo"),
    "mcp_server": ("mcp_server", "mcp_server.*"),
}
RANK = {layer: height for height, layer in enumerate(LAYERS)}

# `memstore mcp` and `memstore serve` start the server: the one import that points up, and only from within a function.
STARTS_THE_SERVER = {"memstore.cli": "mcp_server", "memstore.cli.*": "mcp_server"}

# The standard library as far as it is pure, and the two packages that core computes with.
# fmt: off
CORE_MAY_IMPORT = frozenset({
    "__future__", "abc", "base64", "binascii", "bisect", "collections", "collections.abc", "contextlib", "copy",
    "dataclasses", "datetime", "enum", "functools", "hashlib", "heapq", "hmac", "itertools", "json", "math",
    "operator", "re", "string", "struct", "textwrap", "types", "typing", "unicodedata", "urllib.parse",
    "cryptography", "pydantic", "rfc8785",
})
# fmt: on
CORE_MAY_NOT_CALL = frozenset({"open", "input", "print", "exec", "eval", "compile", "__import__", "globals"})
# What reads the clock or draws randomness behind an import that is allowed.
CORE_MAY_NOT_REACH = frozenset({"now", "utcnow", "today", "generate", "generate_key", "generate_private_key"})

# Packages that cost seconds or hundreds of megabytes, and the one adapter that may import each.
HEAVY = {
    "chromadb": "memstore.index.chroma",
    "torch": "memstore.embed.sentence_transformers",
    "sentence_transformers": "memstore.embed.sentence_transformers",
}

# `mcp_server` itself only sets what fastmcp would else read from the environment and from a stray `.env`.
READ_THE_ENVIRONMENT = ("memstore.config", "memstore.cli", "memstore.cli.*", "mcp_server")
ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb", "putenv"})

# Appending to the log is one method of the Store port; one module calls it. A store may pass the call on inside itself.
APPENDS = "append_entry"
MAY_APPEND = ("memstore.write", "memstore.stores.*")

LONGEST_FILE = 450
LONGEST_FUNCTION = 60  # from `def` to its last line, the docstring apart


@dataclass(frozen=True)
class Import:
    """One name that a module imports; `deferred` when that happens within a function."""

    target: str
    line: int
    deferred: bool


@dataclass(frozen=True)
class Module:
    """A source file, parsed."""

    name: str
    is_package: bool
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    def imports(self, known: frozenset[str]) -> list[Import]:
        """All imports; `from a import b` is one of `a.b` where that is a module in `known`, else of `a`."""
        return list(self._imports_in(self.tree, known, deferred=False))

    def _imports_in(self, node: ast.AST, known: frozenset[str], *, deferred: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            match child:
                case ast.Import(names=names):
                    yield from (Import(alias.name, child.lineno, deferred) for alias in names)
                case ast.ImportFrom(names=names):
                    origin = self._origin(child)
                    full = (f"{origin}.{alias.name}" for alias in names)
                    targets = {name if name in known else origin for name in full}
                    yield from (Import(target, child.lineno, deferred) for target in sorted(targets))
                case ast.Call(
                    func=ast.Name(id="import_module" | "__import__")
                    | ast.Attribute(attr="import_module" | "__import__"),
                    args=[ast.Constant(value=str(target)), *_],
                ):
                    yield Import(target, child.lineno, deferred)
            in_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from self._imports_in(child, known, deferred=deferred or in_function)

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        package = package[: len(package) - node.level + 1]
        return ".".join([*package, *([node.module] if node.module else [])])


def read_modules() -> list[Module]:
    found = []
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(Module(name, is_package, path.read_text(encoding="utf-8")))
    return found


MODULES = read_modules()
KNOWN = frozenset(module.name for module in MODULES)
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


def is_among(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == pattern or (pattern.endswith(".*") and name.startswith(pattern[:-1])) for pattern in patterns)


def layer_of(name: str) -> str:
    """The layer that a module stands in; a module that stands in none has to be given one."""
    for layer, patterns in LAYERS.items():
        if is_among(name, patterns):
            return layer
    raise AssertionError(
        f"{name} stands in no layer. Enter it in LAYERS at the top of tests/test_architecture.py, in the lowest layer "
        f"that is not below anything it imports; from the bottom: {', '.join(LAYERS)} (DESIGN section 4)."
    )


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def upward_imports(module: Module, known: frozenset[str]) -> list[str]:
    height = RANK[layer_of(module.name)]
    exempt = {up for down, up in STARTS_THE_SERVER.items() if is_among(module.name, (down,))}
    return [
        f"{module.name}:{found.line} imports {found.target}, which stands higher ({layer_of(found.target)})"
        for found in module.imports(known)
        if is_within(found.target, "memstore") or is_within(found.target, "mcp_server")
        if RANK[layer_of(found.target)] > height
        if not (found.deferred and any(is_within(found.target, package) for package in exempt))
    ]


def impurities(module: Module, known: frozenset[str]) -> list[str]:
    faults = [
        f"{module.name}:{found.line} imports {found.target}"
        for found in module.imports(known)
        if not is_within(found.target, "memstore")
        if found.target not in CORE_MAY_IMPORT
        if not is_within(found.target, "cryptography")
    ]
    for node in ast.walk(module.tree):
        match node:
            case ast.Name(id=name) if name in CORE_MAY_NOT_CALL:
                faults.append(f"{module.name}:{node.lineno} uses {name}")
            case ast.Call(func=ast.Attribute(attr=name)) if name in CORE_MAY_NOT_REACH:
                faults.append(f"{module.name}:{node.lineno} calls .{name}()")
    return faults


def heavy_imports(module: Module, known: frozenset[str]) -> list[str]:
    """Heavy packages outside their adapter, at any level; and adapters of heavy packages at module level."""
    faults = []
    for found in module.imports(known):
        package = found.target.partition(".")[0]
        if package in HEAVY and module.name != HEAVY[package]:
            faults.append(f"{module.name}:{found.line} imports {package}: only {HEAVY[package]} may")
        if found.target in HEAVY.values() and not found.deferred:
            faults.append(f"{module.name}:{found.line} imports {found.target}: do so in the function that needs it")
    return faults


def environment_reads(module: Module) -> list[str]:
    faults = []
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in ENVIRONMENT:
                faults.append(f"{module.name}:{node.lineno} uses os.{name}")
            case ast.ImportFrom(module="os", names=names):
                taken = ENVIRONMENT & {alias.name for alias in names}
                faults += [f"{module.name}:{node.lineno} uses os.{name}" for name in sorted(taken)]
            case ast.Import(names=names):
                renamed = [alias for alias in names if alias.name == "os" and alias.asname]
                faults += [f"{module.name}:{node.lineno} renames os" for _ in renamed]
    return faults


def appends(module: Module) -> list[str]:
    """Every mention counts, not calls alone: a bound method handed on is a second writer too."""
    return [
        f"{module.name}:{node.lineno} uses .{APPENDS}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr == APPENDS
    ]


def long_functions(module: Module) -> list[str]:
    faults = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            if lines > LONGEST_FUNCTION:
                faults.append(f"{module.name}:{node.lineno} {node.name} has {lines} lines")
    return faults


@each_module
def test_every_module_stands_in_one_layer(module: Module) -> None:
    layer_of(module.name)


def test_no_module_stands_in_two_layers() -> None:
    entries = [entry for patterns in LAYERS.values() for entry in patterns]
    assert sorted(set(entries)) == sorted(entries)


@each_module
def test_imports_point_down(module: Module) -> None:
    assert upward_imports(module, KNOWN) == []


def test_modules_of_one_layer_do_not_import_each_other_in_a_circle() -> None:
    below = {module.name: {found.target for found in module.imports(KNOWN)} & KNOWN for module in MODULES}
    for name in [name for name in below if is_among(name, ("memstore.cli", "memstore.cli.*"))]:
        below[name] = {target for target in below[name] if not is_within(target, "mcp_server")}
    while free := {name for name, targets in below.items() if not targets & below.keys()}:
        below = {name: targets for name, targets in below.items() if name not in free}
    assert below == {}


@pytest.mark.parametrize(
    "module", [module for module in MODULES if is_among(module.name, LAYERS["core"])], ids=lambda module: module.name
)
def test_core_takes_values_and_returns_values(module: Module) -> None:
    assert impurities(module, KNOWN) == []


@each_module
def test_heavy_packages_are_imported_only_by_their_adapter(module: Module) -> None:
    assert heavy_imports(module, KNOWN) == []


@each_module
def test_only_the_composition_root_and_the_command_line_read_the_environment(module: Module) -> None:
    assert is_among(module.name, READ_THE_ENVIRONMENT) or environment_reads(module) == []


@each_module
def test_only_write_appends_to_the_log(module: Module) -> None:
    assert is_among(module.name, MAY_APPEND) or appends(module) == []


def test_the_rule_of_one_writer_names_a_method_that_the_store_has() -> None:
    stores = [module for module in MODULES if is_among(module.name, ("memstore.ports", "memstore.stores.*"))]
    methods = {node.name for module in stores for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef)}
    assert APPENDS in methods, f"set APPENDS to the method of a store that appends; there are {sorted(methods)}"


@each_module
def test_files_and_functions_stay_short(module: Module) -> None:
    assert len(module.source.splitlines()) <= LONGEST_FILE
    assert long_functions(module) == []


# The checks themselves, each on a module that breaks its rule.


def module_of(source: str, *, name: str = "memstore.core.labels", is_package: bool = False) -> Module:
    return Module(name, is_package, source)


@pytest.mark.parametrize(
    "source",
    [
        "import memstore.write",
        "from memstore import write",
        "from .. import write",
        "from ..write import WriteRecord",
        "def f():\n    from memstore.write import write",
        "import importlib\nimportlib.import_module('memstore.write')",
    ],
)
def test_an_import_that_points_up_is_seen(source: str) -> None:
    assert upward_imports(module_of(source), frozenset({"memstore.write"}))


def test_the_command_line_may_start_the_server_from_within_a_function_alone() -> None:
    deferred = "def mcp():\n    from mcp_server.server import build_server"
    known = frozenset({"mcp_server.server"})
    assert upward_imports(module_of(deferred, name="memstore.cli"), known) == []
    assert upward_imports(module_of(deferred, name="memstore.cli.serving"), known) == []
    assert upward_imports(module_of("import mcp_server.server", name="memstore.cli"), known)
    assert upward_imports(module_of(deferred, name="memstore.config"), known)


def test_an_unknown_module_is_told_where_it_belongs() -> None:
    with pytest.raises(AssertionError, match="Enter it in LAYERS"):
        layer_of("memstore.core.unheard_of")


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "from pathlib import Path",
        "def f():\n    import random",
        "from datetime import UTC, datetime\nstarted = datetime.now(UTC)",
        "text = open('x').read()",
        "key = Ed25519PrivateKey.generate()",
    ],
)
def test_an_impure_core_is_seen(source: str) -> None:
    assert impurities(module_of(source), frozenset())


@pytest.mark.parametrize(
    "source", ["import chromadb", "def f():\n    from torch import nn", "import memstore.index.chroma"]
)
def test_a_heavy_import_is_seen(source: str) -> None:
    assert heavy_imports(module_of(source, name="memstore.config"), frozenset({"memstore.index.chroma"}))


def test_an_adapter_may_import_what_it_adapts_and_be_imported_when_asked_for() -> None:
    assert heavy_imports(module_of("import chromadb", name="memstore.index.chroma"), frozenset()) == []
    deferred = "def f():\n    from memstore.index import chroma"
    assert heavy_imports(module_of(deferred, name="memstore.config"), frozenset({"memstore.index.chroma"})) == []


@pytest.mark.parametrize("source", ["import os\nos.environ['A']", "from os import getenv", "import os as o"])
def test_a_read_of_the_environment_is_seen(source: str) -> None:
    assert environment_reads(module_of(source))


def test_a_second_writer_is_seen() -> None:
    assert appends(module_of(f"later = store.{APPENDS}"))


def test_a_long_function_is_seen_but_not_a_long_docstring() -> None:
    assert long_functions(module_of("def f():\n" + "    x = 1\n" * LONGEST_FUNCTION))
    assert long_functions(module_of('def f():\n    """Said.\n' + "\n" * LONGEST_FUNCTION + '    """\n')) == []
