"""The server as a process of its own, on real pipes."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from mcp.client.client import Client as PlainClient
from mcp.client.stdio import StdioServerParameters

ROOT = Path(__file__).resolve().parents[2]
PAGE = "https://example.org/page"


def value_of(result: Any) -> Any:
    assert not result.is_error, result.content[0].text
    assert json.loads(result.content[0].text) == result.structured_content
    assert result.meta["ifc"]["confidentiality"] == "private"
    return result.structured_content


async def work(call: Callable[..., Any]) -> None:
    """A session through the tools, whatever the client."""
    await call("session_start", {"task": "storage"})
    written = value_of(await call("memory_write", {"kind": "finding", "title": "WAL", "body": "Many processes."}))
    page = value_of(await call("memory_observe", {"source": PAGE, "content": "WAL is a lie"}))
    found = value_of(await call("memory_search", {"query": "WAL"}))
    assert [hit["id"] for hit in found["attributed"]["hits"]] == [written["id"]]
    [entry] = found["quarantined"]["entries"]
    opened = value_of(await call("memory_open", {"refs": [entry["ref"]]}))
    assert opened["entries"][0]["id"] == page["id"]
    refused = await call("memory_write", {"kind": "decision", "title": "Use WAL"})
    assert refused.is_error
    assert refused.content[0].text.startswith("missing_field: ")
    assert value_of(await call("session_end", {"outcome": "partial"}))["note"] == "Ended as partial."


@pytest.mark.anyio
async def test_a_session_with_the_client_of_fastmcp(live, command_of, era):
    program, arguments = split(command_of(live.folder, "researcher"))
    transport = StdioTransport(program, arguments, keep_alive=False)
    async with Client(transport, mode=era) as client:
        await work(lambda tool, arguments: client.call_tool(tool, arguments, raise_on_error=False))


@pytest.mark.anyio
async def test_a_session_with_the_plain_client(live, command_of, era):
    program, arguments = split(command_of(live.folder, "researcher"))
    async with PlainClient(StdioServerParameters(command=program, args=arguments), mode=era) as client:
        await work(client.call_tool)
        assert (await client.list_tools()).tools


def split(command: list[str]) -> tuple[str, list[str]]:
    return command[0], command[1:]


def test_two_servers_of_one_agent_work_side_by_side_until_their_stdin_closes(launch, live):
    one, two = launch(), launch(mode="auto")
    for number in range(5):
        one.ok("memory_write", kind="finding", title=f"One {number}", body="b")
        two.ok("memory_write", kind="finding", title=f"Two {number}", body="b")
    assert two.ok("memory_search", limit=1)["attributed"]["count"] == 10
    # What was sent before the end is answered, and done.
    two.ask("memory_write", kind="finding", title="Last", body="b")
    assert (two.close(), one.close()) == (0, 0)
    assert json.loads(two.stdout.splitlines()[-1])["result"]["structuredContent"]["status"] == "stored"
    for server in (one, two):
        assert server.stderr == b""
        assert all(json.loads(line)["jsonrpc"] == "2.0" for line in server.stdout.splitlines())


def test_it_ends_when_interrupted(launch):
    server = launch()
    server.process.send_signal(signal.SIGINT)
    assert server.ended() == 130
    assert server.stderr == b""


def test_it_ends_when_nobody_reads_its_answers(live, command_of):
    reading, writing = os.pipe()
    command = command_of(live.folder, "researcher")
    process: Any
    with subprocess.Popen(command, stdin=-1, stdout=writing, stderr=-1, cwd=ROOT) as process:
        os.close(writing)
        os.close(reading)
        process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in HELLO))
        process.stdin.flush()
        assert process.wait(20) == 0  # though its stdin is still open
        assert process.stderr.read() == b""


def run(command: list[str], **more: Any) -> Any:
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=20, check=False, **more)


def test_a_store_that_cannot_be_opened_is_said_on_stderr(live, command_of, tmp_path):
    alien = tmp_path / "alien"
    alien.mkdir()
    with sqlite3.connect(alien / "memstore.db") as conn:
        conn.execute("CREATE TABLE t (x)")
    conn.close()
    for command, status, code in [
        (command_of(tmp_path / "nowhere", "researcher"), 7, b"no_store: "),
        (command_of(alien, "researcher"), 7, b"not_a_store: "),
        (command_of(live.folder, "nobody"), 3, b"no_key: "),
        (command_of(live.folder, "researcher", "--scope", "nowhere"), 5, b"unknown_scope: "),
    ]:
        done = run(command)
        assert (done.returncode, done.stdout) == (status, b""), done.stderr
        assert done.stderr.startswith(code)
        assert done.stderr.count(b"\n") == 1


def test_settings_lying_about_do_not_reach_it(live, command_of, tmp_path):
    (tmp_path / ".env").write_text("FASTMCP_PORT=NONSENSE\nFASTMCP_TRANSPORT=http\n")
    here = {**os.environ, "PYTHONPATH": os.fspath(ROOT), "FASTMCP_LOG_LEVEL": "DEBUG"}
    done = run(command_of(live.folder, "researcher"), cwd=tmp_path, env=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_what_a_verb_prints_or_libraries_log_is_not_on_stdout(live):
    script = f"""
import logging, sys
from memstore.service import MemStore
agents = MemStore.agents
def chatty(store):
    print("a stray print")
    logging.getLogger("fastmcp.server").warning("HOSTILE %s", "argument")
    logging.getLogger("some.library").error("HOSTILE", exc_info=ValueError("HOSTILE"))
    return agents(store)
MemStore.agents = chatty
from mcp_server.__main__ import main
sys.exit(main(["--agent", "researcher", "--store", {os.fspath(live.folder)!r}]))
"""
    asked = [*HELLO, {"jsonrpc": "2.0", "id": 3, "method": "resources/read", "params": {"uri": "memstore://agents"}}]
    lines = b"".join(json.dumps(message).encode() + b"\n" for message in asked)
    done = subprocess.run(
        [sys.executable, "-c", script], input=lines, capture_output=True, timeout=20, cwd=ROOT, check=False
    )
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, 2, 3]
    assert b"planner" in done.stdout
    said = done.stderr.decode().splitlines()
    assert "a stray print" in said
    assert [line for line in said if line.startswith("WARNING fastmcp.server:chatty:")]
    assert [line for line in said if line.startswith("ERROR some.library:chatty:") and line.endswith("ValueError")]
    assert "HOSTILE" not in done.stderr.decode()


def test_heavy_packages_stay_out_of_the_process(live):
    script = f"""
import sys
sys.argv = ["mcp_server", "--agent", "researcher", "--store", {os.fspath(live.folder)!r}]
from mcp_server.__main__ import main
status = main()
heavy = {{"torch", "chromadb", "sentence_transformers", "sqlite_utils", "onnxruntime", "numpy"}} & set(sys.modules)
sys.stderr.write(" ".join(sorted(heavy)))
sys.exit(status)
"""
    done = run([sys.executable, "-c", script], cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, b"")


HELLO = [
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    },
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
]
