"""The configuration that each client is given, the server that it starts, and the hooks that it runs."""

import json
import os
import re
import resource
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport

from memstore.cli import configuring
from memstore.cli.orienting import ANSWERS
from memstore.config import DATABASE, open_store

ROOT = Path(__file__).resolve().parents[2]
REMOTE = "https://memory.example:8443/mcp"
each_client = pytest.mark.parametrize("client", configuring.CLIENTS)
each_with_hooks = pytest.mark.parametrize("client", ANSWERS)


def parsed(client: str, text: str) -> Any:
    return tomllib.loads(text) if client == "codex" else json.loads(text)


def server(client: str, text: str) -> Any:
    key = {"codex": "mcp_servers", "vscode": "servers"}.get(client, "mcpServers")
    return parsed(client, text)[key]["memstore"]


def files(text: str) -> dict[str, str]:
    """What `--hooks` prints, by file."""
    _, *parts = re.split(r"^==> (.*) <==$", text, flags=re.MULTILINE)
    return {place: body.strip() for place, body in zip(parts[::2], parts[1::2], strict=True)}


def commands(client: str, told: Any) -> list[str]:
    """The two commands of the hooks, as the client's documentation says they stand."""
    match client:
        case "cursor":
            assert told["version"] == 1
            return [told["hooks"][event][0]["command"] for event in ("sessionStart", "preCompact")]
        case "vscode":
            hooks = [told["hooks"][event][0] for event in ("SessionStart", "PreCompact")]
        case _:
            assert set(told["hooks"]["SessionStart"][0]["matcher"].split("|")) == {
                "startup",
                "resume",
                "clear",
                "compact",
            }
            hooks = [told["hooks"][event][0]["hooks"][0] for event in ("SessionStart", "PreCompact")]
    assert all(hook["type"] == "command" for hook in hooks)
    return [hook["command"] for hook in hooks]


def runnable(words: list[str]) -> list[str]:
    """Without -P: the tests may run from a checkout that is not installed."""
    return [word for word in words if word != "-P"]


@each_client
def test_each_client_gets_its_own_form_with_absolute_paths_and_no_secret(cli, folder, client):
    ended = cli("config", client, "--agent", "worker")
    assert ended.status == 0
    assert ended.stderr == ""
    told = server(client, ended.stdout)
    assert Path(told["command"]).is_absolute()
    assert told["args"][-5:] == ["mcp", "--agent", "worker", "--store", str(folder)]
    assert told.get("type", "stdio") == "stdio"
    assert ("type" in told) == (client not in ("codex", "claude-desktop"))
    assert "PRIVATE" not in ended.stdout


def test_a_scope_is_passed_on(cli):
    told = server("cursor", cli("config", "cursor", "--agent", "planner", "--scope", "side").stdout)
    assert told["args"][-2:] == ["--scope", "side"]


def test_an_agent_that_is_not_registered_gets_no_configuration(cli):
    ended = cli("config", "codex", "--agent", "nobody")
    assert (ended.status, ended.code, ended.stdout) == (3, "unknown_principal", "")
    assert cli("config", "emacs", "--agent", "worker").status == 2


def test_the_script_is_named_where_there_is_one_and_else_no_folder_of_a_client_is_searched(monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert configuring._launched()[1:] == ["-P", "-m", "memstore"]
    (tmp_path / "memstore").touch()
    assert configuring._launched() == [str(tmp_path / "memstore")]


@pytest.mark.anyio
@each_client
async def test_what_is_printed_starts_a_server_that_a_client_can_use(cli, client):
    told = server(client, cli("config", client, "--agent", "worker").stdout)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    transport = StdioTransport(told["command"], runnable(told["args"]), env=environment, keep_alive=False)
    async with Client(transport) as connected:
        assert "session_start" in {tool.name for tool in await connected.list_tools()}
        started = await connected.call_tool("session_start", {"task": "configured"})
        assert started.structured_content["session"].startswith("s-")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@each_client
def test_a_bridge_is_configured_where_no_store_is(cli, client, tmp_path):
    ended = cli("config", client, "--agent", "worker", "--url", REMOTE, store=tmp_path / "none")
    told = server(client, ended.stdout)
    assert told["args"][-2:] == ["--url", REMOTE]
    assert told["args"][told["args"].index("--agent") + 1] == "worker"


@each_client
def test_a_bridge_is_told_where_its_key_is_and_whom_to_trust(cli, client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = ["--key", "coder.key", "--store-id", "22svc6drav3zmwch2xrk2lbjpe", "--ca", "ca.pem"]
    ended = cli("config", client, "--agent", "worker", "--url", REMOTE, *given)
    args = server(client, ended.stdout)["args"]
    told = dict(zip(args[-8::2], args[-7::2], strict=True))
    assert told == {
        "--key": str(tmp_path / "coder.key"),
        "--store-id": "22svc6drav3zmwch2xrk2lbjpe",
        "--ca": str(tmp_path / "ca.pem"),
        "--url": REMOTE,
    }
    assert "--store" not in args
    assert cli("config", client, "--agent", "worker", *given).code == "invalid"


# By each client's own syntax: the variable is named, the token is nowhere.
TOKENS = {
    "claude-code": "Bearer ${MEMSTORE_TOKEN}",
    "cursor": "Bearer ${env:MEMSTORE_TOKEN}",
    "vscode": "Bearer ${input:memstore-token}",
}


@pytest.mark.parametrize("client", [*TOKENS, "codex"])
def test_a_client_that_talks_http_itself_takes_its_token_from_elsewhere(cli, client, monkeypatch, tmp_path):
    monkeypatch.setenv("MEMSTORE_TOKEN", "mst-VERY-SECRET")
    ended = cli("config", client, "--agent", "worker", "--http", REMOTE, store=tmp_path / "none")
    told = server(client, ended.stdout)
    assert told["url"] == REMOTE
    if client == "codex":
        assert told == {"url": REMOTE, "bearer_token_env_var": "MEMSTORE_TOKEN"}
    else:
        assert told["headers"] == {"Authorization": TOKENS[client]}
        assert told.get("type") == (None if client == "cursor" else "http")
    if client == "vscode":
        [asked] = parsed(client, ended.stdout)["inputs"]
        assert (asked["id"], asked["type"], asked["password"]) == ("memstore-token", "promptString", True)
    assert "SECRET" not in ended.stdout


def test_claude_desktop_is_told_to_take_a_bridge(cli):
    ended = cli("config", "claude-desktop", "--agent", "worker", "--http", REMOTE)
    assert (ended.code, ended.stdout) == ("invalid", "")
    assert "--url" in ended.stderr


@pytest.mark.parametrize(
    "address",
    ["ftp://x.example/mcp", "x.example", "https://", "https://me:SECRET@x.example/mcp", "https://x.example/mcp?t=SECRET",
     "https://x.example:99999/mcp", "https://x.example/mcp#SECRET"],
)  # fmt: skip
@pytest.mark.parametrize("option", ["--url", "--http"])
def test_an_address_that_is_none_or_holds_a_secret_is_refused_and_not_repeated(cli, option, address):
    ended = cli("config", "claude-code", "--agent", "worker", option, address)
    assert (ended.code, ended.stdout) == ("invalid", "")
    assert "SECRET" not in ended.stderr


def test_a_bridge_and_a_client_of_its_own_exclude_each_other(cli):
    assert cli("config", "codex", "--agent", "worker", "--url", REMOTE, "--http", REMOTE).code == "invalid"


@each_with_hooks
def test_the_hooks_of_a_client_stand_in_their_file_and_answer_in_its_form(cli, folder, client):
    said = files(cli("config", client, "--agent", "worker", "--hooks", "--task", "a 'quoted' task").stdout)
    form = configuring.CLIENTS[client]
    assert list(said) == list(dict.fromkeys([form.place, form.hooks_place, form.snippet_place]))
    assert server(client, said[form.place])["args"][0] in ("mcp", "-P")
    assert "session_start" in said[form.snippet_place]
    answers = [hooked(command) for command in commands(client, parsed(client, said[form.hooks_place]))]
    if client == "cursor":
        context, told = answers[0]["additional_context"], answers[1]["user_message"]
    else:
        assert answers[0]["hookSpecificOutput"]["hookEventName"] == "SessionStart"
        context, told = answers[0]["hookSpecificOutput"]["additionalContext"], answers[1]["systemMessage"]
    assert "session_start with task=\"a 'quoted' task\"" in context
    assert "no session open" in told


def hooked(command: str, **environment: str) -> Any:
    """Run a hook as a client does, by a shell and with an event on stdin."""
    words = shlex.join(runnable(shlex.split(command)))
    done = subprocess.run(
        words,
        shell=True,
        input=b'{"hook_event_name": "SessionStart"}',
        capture_output=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return json.loads(done.stdout)


def test_a_client_without_hooks_gets_the_text_alone_and_is_told_so(cli):
    ended = cli("config", "claude-desktop", "--agent", "worker", "--hooks")
    assert list(files(ended.stdout)) == ["claude_desktop_config.json", "the project's instructions"]
    assert "no hooks" in ended.stderr


def test_hooks_that_have_no_store_to_read_are_not_printed(cli, tmp_path):
    ended = cli("config", "claude-code", "--agent", "worker", "--url", REMOTE, "--hooks", store=tmp_path / "none")
    assert list(files(ended.stdout)) == [".mcp.json", "CLAUDE.md"]
    assert "Without a store" in ended.stderr


def test_the_text_for_agents_names_tools_that_there_are():
    from mcp_server.tools import TOOLS

    named = set(re.findall(r"(?:memory|session|handoff)_\w+", configuring.SNIPPET))
    assert named
    assert named <= {offer.name for offer in TOOLS}


# `session brief`


SECRET = "KRAKATOA-ZETA"


def outlined(cli: Any, *arguments: str) -> Any:
    return cli("session", "brief", "--agent", "worker", *arguments)


def test_a_brief_counts_what_stands_and_holds_no_word_of_it(cli, folder):
    with open_store(folder, agent="planner") as planner:
        planner.session_start(f"task {SECRET}", goal=f"goal {SECRET}")
        kept = planner.write("constraint", f"title {SECRET}", f"body {SECRET}", tags=[SECRET], key=SECRET)["id"]
        planner.write("question", f"what {SECRET}")
    with open_store(folder, agent="worker") as worker:
        worker.session_start(f"mine {SECRET}")
        worker.observe(f"https://example.org/{SECRET}", SECRET)
        worker.write("constraint", f"tainted {SECRET}")
    ended = outlined(cli)
    told = ended.answer
    assert told["constraints"] == {"count": 1, "ids": [kept]}
    assert (told["intents"]["count"], told["questions"]["count"], told["decisions"]["count"]) == (1, 1, 0)
    for client in ANSWERS:
        for event in ("session-start", "pre-compact"):
            said = outlined(cli, "--client", client, "--event", event).stdout
            assert said
            assert SECRET not in said
    assert SECRET not in ended.stdout


def test_a_brief_is_of_its_task_where_one_is_named(cli, folder):
    with open_store(folder, agent="planner") as planner:
        planner.session_start("one")
        planner.write("constraint", "Of one")
    assert outlined(cli, "--task", "one").answer["constraints"]["count"] == 1
    assert outlined(cli, "--task", "two").answer["constraints"]["count"] == 0


def test_a_brief_says_that_work_waits(cli, folder):
    with open_store(folder, agent="planner") as planner:
        planner.session_start("t", goal="Do it")
        intent = planner.search("")["trusted"]["hits"][0]["id"]
        offered = planner.handoff_offer(
            "worker", "delegate", directive="Do it", intent=intent, rationale="It is due", constraints=["none"]
        )
    assert outlined(cli).answer["handoffs"] == {"count": 1, "ids": [offered["handoff"]]}
    assert cli("session", "brief", "--agent", "planner").answer["handoffs"]["count"] == 0
    assert "1 handoffs wait" in outlined(cli, "--client", "codex").stdout


def test_a_person_is_told_before_a_compaction_what_is_stored(cli, folder):
    with open_store(folder, agent="worker") as worker:
        worker.session_start("t")
        worker.write("finding", "F", "b")
        said = outlined(cli, "--client", "vscode", "--event", "pre-compact").answer["systemMessage"]
        assert "stored 1 records" in said
        assert "no checkpoint yet" in said
        worker.write("checkpoint", "C", data={"at": 1})
        assert "last checkpoint 20" in outlined(cli, "--client", "vscode", "--event", "pre-compact").stdout


def test_a_brief_changes_nothing(cli, folder):
    def written() -> list[str]:
        with closing(sqlite3.connect(folder / DATABASE)) as conn:
            return list(conn.iterdump())

    before = written()
    assert outlined(cli).status == 0
    assert outlined(cli, "--client", "codex").status == 0
    assert written() == before


@each_with_hooks
@pytest.mark.parametrize("event", ["session-start", "pre-compact"])
def test_a_hook_is_harmless_where_nothing_can_be_read(cli, client, event, tmp_path, folder):
    for ended in (
        cli("session", "brief", "--agent", "worker", "--client", client, "--event", event, store=tmp_path / "none"),
        cli("session", "brief", "--agent", "nobody", "--client", client, "--event", event),
        cli("session", "brief", "--agent", "worker", "--client", client, "--event", event, "--scope", "elsewhere"),
    ):
        assert (ended.status, ended.stdout) == (0, "")
        assert ended.stderr.count("\n") == 1


def test_asked_for_by_a_person_it_says_what_is_wrong(cli, tmp_path):
    assert cli("session", "brief", "--agent", "worker", store=tmp_path / "none").code == "no_store"
    assert cli("session", "brief", "--agent", "nobody").code == "unknown_principal"
    assert outlined(cli, "--scope", "elsewhere").code == "unknown_scope"


def test_a_hook_is_quick(shell):
    """Processor time: how busy the machine is otherwise, is not what is measured."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = spent()
    assert shell("session", "brief", "--agent", "worker", "--client", "codex").status == 0
    assert spent() - before < 1.0


def test_a_hook_imports_no_server_and_no_model():
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom memstore.cli.root import root\n"
        "CliRunner().invoke(root, ['session', 'brief', '--agent', 'a', '--client', 'codex', '--store', '/nowhere'])\n"
        "print(sorted({'fastmcp', 'mcp', 'onnxruntime', 'tokenizers', 'chromadb', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"
