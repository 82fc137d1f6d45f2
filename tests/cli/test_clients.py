"""The configuration that each client is given, and the server that it starts."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from memstore.cli import clients


def servers(client: str, text: str) -> Any:
    if client == "codex":
        return tomllib.loads(text)["mcp_servers"]
    return json.loads(text)["servers" if client == "vscode" else "mcpServers"]


@pytest.mark.parametrize("client", clients.CLIENTS)
def test_each_client_gets_its_own_form_with_absolute_paths_and_no_secret(cli, folder, client):
    ended = cli("config", client, "--agent", "worker")
    assert ended.status == 0
    assert ended.stderr == ""
    server = servers(client, ended.stdout)["memstore"]
    assert Path(server["command"]).is_absolute()
    assert server["args"][-5:] == ["mcp", "--agent", "worker", "--store", str(folder)]
    assert server.get("type", "stdio") == "stdio"
    assert ("type" in server) == (client not in ("codex", "claude-desktop"))
    assert "PRIVATE" not in ended.stdout


def test_a_scope_is_passed_on(cli):
    server = servers("cursor", cli("config", "cursor", "--agent", "planner", "--scope", "side").stdout)["memstore"]
    assert server["args"][-2:] == ["--scope", "side"]


def test_an_agent_that_is_not_registered_gets_no_configuration(cli):
    ended = cli("config", "codex", "--agent", "nobody")
    assert (ended.status, ended.code, ended.stdout) == (3, "unknown_principal", "")
    assert cli("config", "emacs", "--agent", "worker").status == 2


def test_the_script_is_named_where_there_is_one_and_else_no_folder_of_a_client_is_searched(monkeypatch, tmp_path):
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert clients._launched()[1:] == ["-P", "-m", "memstore"]
    (tmp_path / "memstore").touch()
    assert clients._launched() == [str(tmp_path / "memstore")]


def test_what_is_printed_starts_a_server_that_answers_and_ends_with_its_input(cli, spawn):
    server = servers("claude-code", cli("config", "claude-code", "--agent", "worker").stdout)["memstore"]
    # Without -P: the tests may run from a checkout that is not installed.
    program = [server["command"], *(argument for argument in server["args"] if argument != "-P")]
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n"
    process = spawn(program=program, stdin=subprocess.PIPE)
    out, told = process.communicate(request.encode(), timeout=60)
    assert process.returncode == 0, told.decode()
    assert [json.loads(line)["id"] for line in out.splitlines()] == [1]


def test_a_server_for_an_unknown_agent_says_so_and_leaves_stdout_alone(cli):
    ended = cli("mcp", "--agent", "nobody")
    assert (ended.status, ended.code, ended.stdout) == (3, "no_key", "")


def test_the_demo_is_run(cli, monkeypatch):
    from memstore import demo

    ran = []
    monkeypatch.setattr(demo, "run", lambda: ran.append(True))
    assert cli("demo").status == 0
    assert ran == [True]
