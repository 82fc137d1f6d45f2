"""docs/OPERATIONS.md is what can be done: its commands are run one after another, in a place of their own."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from memstore.cli.root import COMMANDS, root

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "OPERATIONS.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
LINES = [line.partition(" # ")[0] for block in BLOCKS for line in block.splitlines() if line.strip()]
WANT_A_PASSPHRASE = ("init", "agent add", "agent rekey")


def test_every_command_of_the_page_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    told = ""
    for line in LINES:
        program, *words = shlex.split(line)
        assert program == "memstore", line
        into = words[words.index(">") + 1 :] if ">" in words else []
        words = words[: words.index(">")] if into else words
        if " ".join(words).startswith(WANT_A_PASSPHRASE):
            words.append("--unprotected-key")  # a passphrase wants a terminal
        ended = CliRunner().invoke(root, words, env={"MEMSTORE_STORE": ""})
        assert (ended.exit_code, ended.stderr) == (0, ""), f"{line}\n{ended.stderr}{ended.stdout}"
        for file in into:
            Path(file).write_text(ended.stdout, "utf-8")
        told += ended.stdout
    assert '"epoch": 1' in told
    assert '"added": 1' in told
    assert len(LINES) > 30


def test_every_command_that_the_page_names_is_one():
    named = set(re.findall(r"`memstore ([a-z]+)", TEXT)) | set(re.findall(r"^memstore ([a-z]+)", TEXT, re.MULTILINE))
    assert named - COMMANDS.keys() == set()
    assert {"backup", "restore", "export", "import", "quota", "retention", "doctor"} <= named


def test_every_code_that_the_page_names_is_raised_somewhere():
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "memstore").rglob("*.py"))
    codes = {
        "read_only_copy",
        "damaged_backup",
        "not_verified",
        "bad_file",
        "quota_exceeded",
        "disk_full",
        "newer_store",
    }
    codes |= {"restored", "rolled_back", "tampered"}
    for code in codes:
        assert f"`{code}`" in TEXT, code
        assert f'"{code}"' in source, code
