"""Decision records as they are found in the wild: which come in force, which are linked, and which are passed over."""

import os
import time
from pathlib import Path

import pytest

from memstore.adr import read_pages, read_record
from memstore.errors import NotFound
from memstore.importing import NO_DECISION, decisions_in

CONTEXT = "## Context\n\nWe have to choose.\n\n## Decision\n\nWe will do so.\n"
TEMPLATE = (
    "{proposed | rejected | accepted | deprecated | … | superseded by ADR-0123}",
    "[proposed | rejected | accepted | deprecated | … | superseded by [ADR-0005](0005-example.md)]",
    "What is the status, such as proposed, accepted, rejected, deprecated, superseded, etc.?",
    "STATUS",
)


def record(title: str = "Use lists", status: str = "Accepted") -> str:
    return f"# {title}\n\n## Status\n\n{status}\n\n{CONTEXT}"


def folder_of(tmp_path: Path, files: dict[str, str | bytes]) -> Path:
    folder = tmp_path / "adr"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def links(texts: dict[str, str]) -> dict[str, str]:
    """What each record supersedes, by file name."""
    found, _ = read_pages(texts)
    return {name: said["supersedes"].removeprefix("key:") for name, said in found.items() if "supersedes" in said}


def outcome(text: str, name: str = "0001-a.md") -> str:
    """What becomes of one file: the kind of its record, or the code of why there is none."""
    found, passed = read_pages({name: text})
    return str(found[name]["kind"]) if found else passed[name]


# Status.


@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        ("Accepted", "decision"),
        ("✅ **Approved** on 2020-01-01", "decision"),
        ("2020-01-01: accepted", "decision"),
        ("Accepted\n\nAmended by [2](0002-b.md)", "decision"),
        ("Accepted\n\nSupersedes [2](0002-b.md)", "decision"),
        ("Accepted. Rejected options are below.", "decision"),
        ("Accepted\n\nADR 7 is superseded by this one.", "decision"),
        ("~~Rejected~~ Accepted", "decision"),
        ("- [x] Accepted\n- [ ] Rejected", "decision"),
        ("[Accepted](https://example.org/process)", "decision"),
        ("Proposed 2019-01-01\nAccepted 2020-01-01", "decision"),
        ("Partly superseded by 9", "decision"),
        ("", "decision"),
        ("Rejected", "rejected"),
        ("Accepted, then rejected", "rejected"),
        ("Proposed", "not_decided"),
        ("PROPOSED, to be accepted in May", "not_decided"),
        ("Draft", "not_decided"),
        ("Pending", "not_decided"),
        ("on hold", "not_decided"),
        ("Not yet accepted", "not_decided"),
        ("Deprecated (no superseding ADR)", "deprecated"),
        ("Obsolete since 2021", "deprecated"),
        ("Superseded", "superseded"),
        ("Accepted\n\nSuperseded by the team's new way", "superseded"),
        ("Superseded by ADR-0099", "superseded"),
        ("A mystery", "unknown_status"),
        *[(status, "template") for status in TEMPLATE],
    ],
)
def test_a_status_says_what_becomes_of_a_record(status, becomes):
    assert outcome(record(status=status)) == becomes


def test_a_record_without_a_status_is_accepted():
    assert outcome(f"# Use lists\n\n{CONTEXT}") == "decision"


@pytest.mark.parametrize(
    "said",
    [
        "---\nstatus: rejected\n---\n# Use lists\n\n{}",
        "---\nstatus: 'rejected' # or accepted\ndate: 2020-01-01\n--- \n# Use lists\n\n{}",
        "# Use lists\n\n* Status: rejected\n* Date: 2020-01-01\n\n{}",
        "# Use lists\n\n- **Status**: Rejected\n\n{}",
        "# Use lists\n\n**Status:** Rejected\n\n{}",
        "# Use lists\n\n| Status | Rejected |\n|---|---|\n| Date | 2020-01-01 |\n\n{}",
        "# Use lists\n\n| Status | Date |\n|---|---|\n| Rejected | 2020-01-01 |\n\n{}",
        "# Use lists\n\n## Status: Rejected\n\n{}",
        "# Use lists\n\n#### Status\nRejected\n\n{}",
        "# Use lists\n\n# Status #\n\nRejected\n\n{}",
        "Use lists\n=========\n\nStatus\n------\n\nRejected\n\n{}",
        "# Use lists\n\n## Metadata\n\n* Status: rejected\n\n{}",
        "# Use lists\n\n{}\n## Metadata\n\n* Status: rejected\n",
        "# Use lists\n\n## 🚦 1. Status\n\n⛔ Rejected\n\n{}",
        "## Use lists\n\n### Status\n\nRejected\n\n{}",
        "# Use lists\n\n<!--\n## Status\n\nAccepted\n-->\n## Status\n\nRejected <!-- or accepted -->\n\n{}",
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_status_is_found_where_it_stands(said, line_end):
    text = said.format(CONTEXT).replace("\n", line_end)
    assert outcome(text) == "rejected"
    assert outcome("\ufeff" + text) == "rejected"


def test_a_rejected_record_says_why():
    found = read_record(record(status="Rejected because lists are slow."))
    assert found is not None
    assert found.arguments["title"] == "Use lists"
    assert found.arguments["rationale"] == "Rejected because lists are slow.\n\nWe will do so."


def test_a_draft_without_an_outcome_is_not_decided_rather_than_no_record():
    assert outcome("# Use lists\n\n## Status\n\nProposed\n\n## Context\n\nWe have to choose.\n") == "not_decided"


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("adr-template.md", "template"),
        ("0000-template.md", "template"),
        ("template-minimal.md", "template"),
        ("0005-template-engine.md", "decision"),
        ("0005-use-a-template.md", "decision"),
    ],
)
def test_a_template_is_known_by_its_name(name, becomes):
    assert outcome(record(), name) == becomes


@pytest.mark.parametrize("title", ["{short title of solved problem}", "[short title]", "NUMBER. TITLE", "<title>"])
def test_a_template_is_known_by_its_title(title):
    assert outcome(record(title)) == "template"


# Text.


def test_a_heading_in_code_ends_no_section():
    for fence in ("```", "~~~~"):
        text = record().replace(
            "We will do so.", f"Run:\n\n{fence}sh\n# Status\nRejected\n```x\n{fence}\n\nand be done."
        )
        found = read_record(text)
        assert found is not None
        assert found.arguments["rationale"].endswith("and be done.")
        assert found.arguments["kind"] == "decision"


def test_sections_below_a_part_belong_to_it():
    found = read_record("# T\n\n## Decision\n\n### Now\n\nLists.\n\n### Later\n\nTrees.\n\n### Consequences\n\nNone.\n")
    assert found is not None
    assert found.arguments["rationale"] == "Now\n\nLists.\n\nLater\n\nTrees."
    assert found.arguments["body"] == "None."


def test_parts_are_found_at_any_level_and_drivers_are_no_decision():
    text = (
        "# Use lists\n\n### Context and Problem Statement\n\nWhy.\n\n# Decision Drivers\n\n* Speed\n\n"
        "#### Considered Options\n\n1. Lists\n2. Trees\n\n##### Decision Outcome\n\nLists.\n\n"
        "Consequences\n---\n\nNone.\n"
    )
    found = read_record(text)
    assert found is not None
    assert found.arguments == {
        "kind": "decision",
        "title": "Use lists",
        "body": "Why.\n\nNone.",
        "rationale": "Lists.",
        "alternatives": ["Lists", "Trees"],
    }


def test_a_rule_below_a_list_or_a_longer_paragraph_is_no_heading():
    text = record().replace("We will do so.", "We will:\n\n* do so\n---\nand\nso\n---\non.")
    found = read_record(text)
    assert found is not None
    assert found.arguments["rationale"].endswith("on.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no heading at all",
        "---\nstatus: accepted\n---\n",
        "---\n---\n",
        "# Only a title",
        "# Decisions\n\n* [1](0001-a.md)\n",
        "# Project\n\n## Decisions\n\n* [1](0001-a.md)\n",
        "# Project\n\n## Decision records\n\n* [1](0001-a.md)\n",
        "## Status\n\nAccepted\n\n## Decision\n\nNo title.\n",
        "# Project\n\nStatus: WIP\n\n## Usage\n\nRun it.\n",
        "```\n# Title\n## Decision\nCode.\n",
    ],
)
def test_what_is_no_decision_record_is_said_to_be_none(text):
    assert outcome(text) == "no_record"


def test_a_page_of_one_character_is_read_in_linear_time():
    many = 200_000
    started = time.process_time()
    for text in ("<!--" * many, "# a" + " " * many + "b", "a " * many + ":", "`" * many, "[" * many, "," * many):
        for page in (text, record(status=text), f"---\n{text}\n---\n{record()}", f"# {text}\n\n{text}\n\n{CONTEXT}"):
            read_pages({"0001-a.md": page})
    assert time.process_time() - started < 5


# Links.


@pytest.mark.parametrize(
    "status",
    [
        "Superseded by [4. Use trees](0003-trees.md)",
        "Superseded by [x](../adr/0003-trees.md#decision)",
        "Superseded by [ADR-3](https://example.org/blob/main/0003-trees.md)",
        "Superseded by [[0003-trees]]",
        "**Superseded** by 3",
        "__Superseded by__ `ADR 3`",
        "superseded by ADR-0003",
        "Superceded by ADR#3.",
        "Superseded by:\n\n* [ADR 3](0003-trees.md)",
        "Superseded\n\nby 0003",
        "Superseded by 0003-trees",
        "Superseded by [the trees](trees.md)",
        "Superseded by trees.md",
        "Superseded by Use trees",
        "Superseded on 2020-01-02 by 3",
        "Deprecated, superseded by 3",
        "Accepted 2020-01-01 → Superseded by 3",
        "Accepted. Superseded by [3](0003-trees.md), see also [5](0005-e.md)",
        "Replaced by ADR-3",
    ],
)
def test_a_status_names_its_successor(status):
    texts = {"0001-lists.md": record(status=status), "0003-trees.md": record("3. Use trees"), "0005-e.md": record("E")}
    assert links(texts) == {"0003-trees.md": "0001-lists.md"}


@pytest.mark.parametrize(
    "front",
    [
        "status: superseded by ADR-0003",
        'status: "superseded by [ADR-0003](0003-trees.md)"',
        "status: superseded\nsuperseded-by: 3",
        "superseded_by:\n  - 0003-trees.md",
        "Superseded by: '3'",
    ],
)
@pytest.mark.parametrize("end", ["---", "--- ", "..."])
def test_front_matter_names_a_successor(front, end):
    old = f"---\n{front}\n{end}\n# Use lists\n\n{CONTEXT}"
    assert links({"0001-lists.md": old, "0003-trees.md": record("Use trees")}) == {"0003-trees.md": "0001-lists.md"}


def test_a_line_under_the_title_names_a_successor_unless_it_names_nothing():
    for line in ("> **Superseded by [3](0003-trees.md)**", "* Superseded by: ADR-3", "| Superseded by | 3 |"):
        old = f"# Use lists\n\n{line}\n\n{CONTEXT}"
        assert links({"0001-lists.md": old, "0003-trees.md": record("Use trees")}) == {"0003-trees.md": "0001-lists.md"}
    for line in ("* Superseded by: -", "* Superseded by: n/a", "| Superseded by | |"):
        assert outcome(f"# Use lists\n\n* Status: accepted\n{line}\n\n{CONTEXT}") == "decision"


def test_a_successor_of_a_lower_number_comes_after_what_it_replaces():
    texts = {
        "0001-c.md": record("C"),
        "0002-b.md": record("B", "Superseded by 1"),
        "0003-a.md": record("A", "Superseded by 2"),
    }
    found, passed = read_pages(texts)
    assert (list(found), passed) == (["0003-a.md", "0002-b.md", "0001-c.md"], {})
    assert links(texts) == {"0002-b.md": "0003-a.md", "0001-c.md": "0002-b.md"}


def test_a_long_chain_is_ordered():
    last = 2000
    texts = {f"{n:04}-x.md": record(f"X{n}", f"Superseded by {n - 1}" if n > 1 else "Accepted") for n in range(1, last)}
    found, passed = read_pages(texts)
    assert (next(iter(found)), len(found), passed) == (f"{last - 1:04}-x.md", last - 1, {})


def test_the_second_that_one_record_replaces_is_reported_and_not_in_force():
    texts = {
        "0001-a.md": record("A", "Superseded by 3"),
        "0002-b.md": record("B", "Superseded by 3"),
        "0003-c.md": record("C"),
        "0004-d.md": record("D", "Superseded by 2"),
    }
    found, passed = read_pages(texts)
    assert list(found) == ["0001-a.md", "0003-c.md"]
    assert passed == {"0002-b.md": "link_lost", "0004-d.md": "superseded"}


def test_a_circle_is_reported_and_costs_nothing_else():
    texts = {
        "0001-a.md": record("A", "Superseded by 2"),
        "0002-b.md": record("B", "Superseded by 1"),
        "0003-c.md": record("C", "Superseded by 3"),
        "0004-d.md": record("D", "Superseded by 1"),
        "0005-e.md": record("E"),
    }
    found, passed = read_pages(texts)
    assert list(found) == ["0005-e.md"]
    assert passed == {"0001-a.md": "circle", "0002-b.md": "circle", "0003-c.md": "circle", "0004-d.md": "circle"}


def test_what_a_draft_would_replace_does_not_come_back_in_force():
    _, passed = read_pages({"0001-a.md": record("A", "Superseded by 2"), "0002-b.md": record("B", "Proposed")})
    assert passed == {"0001-a.md": "superseded", "0002-b.md": "not_decided"}


def test_a_successor_may_say_alone_what_it_supersedes():
    texts = {"0001-a.md": record("A", "Superseded"), "0002-b.md": record("B", "Accepted\n\nSupersedes [A](0001-a.md)")}
    assert links(texts) == {"0002-b.md": "0001-a.md"}


def test_the_record_of_number_zero_is_linked():
    texts = {"0000-a.md": record("A", "Superseded by 1"), "0001-b.md": record("B")}
    assert links(texts) == {"0001-b.md": "0000-a.md"}
    assert links({"0000-a.md": record("A"), "0001-b.md": record("B", "Superseded by ADR-0000")}) == {
        "0000-a.md": "0001-b.md"
    }


def test_dates_in_names_are_no_numbers():
    texts = {
        "2020-01-01-a.md": record("A", "Superseded by [B](2020-01-02-b.md)"),
        "2020-01-02-b.md": record("B"),
        "20200103-c.md": record("C", "Superseded by 2020-01-04-d.md"),
        "20200104-d.md": record("D"),
        "2020-01-05-e.md": record("E", "Superseded by d"),
    }
    found, passed = read_pages(texts)
    assert found["2020-01-02-b.md"]["supersedes"] == "key:2020-01-01-a.md"
    assert passed == {"20200103-c.md": "superseded"}
    assert found["20200104-d.md"]["supersedes"] == "key:2020-01-05-e.md"


def test_a_number_that_two_files_have_means_neither():
    texts = {"0001-a.md": record("A", "Superseded by 2"), "0002-b.md": record("B"), "0002-c.md": record("C")}
    assert read_pages(texts)[1] == {"0001-a.md": "superseded"}
    assert links(texts | {"0001-a.md": record("A", "Superseded by [2](0002-c.md)")}) == {"0002-c.md": "0001-a.md"}


# Folders.


def test_files_that_are_no_text_are_skipped_with_the_reason(fleet, tmp_path, monkeypatch):
    folder = folder_of(
        tmp_path,
        {
            "0001-a.md": b"\xef\xbb\xbf" + record("A").encode(),
            "0002-latin.md": record("Caf\xe9").encode("latin-1"),
            "0003-nul.md": record("A\0"),
            "0004-long.md": b"x" * (1024 * 1024 + 1),
            "0005-locked.md": record("Locked"),
            "README.md": "# About\n\nRecords.\n",
            "notes.txt": "no markdown",
        },
    )
    (folder / "0006-folder.md").mkdir()
    (folder / "0007-gone.md").symlink_to("nowhere.md")
    os.mkfifo(folder / "0008-pipe.md")
    opened = Path.open

    def refuse(path: Path, *args, **more):
        if path.name == "0005-locked.md":
            raise PermissionError
        return opened(path, *args, **more)

    monkeypatch.setattr(Path, "open", refuse)
    done = fleet.fresh("ada").import_lines(decisions_in(folder))
    assert done["stored"] == 1
    assert {skip["line"]: skip["code"] for skip in done["skipped"]} == {
        "0002-latin.md": "not_text",
        "0003-nul.md": "not_text",
        "0004-long.md": "too_long",
        "0005-locked.md": "unreadable",
        "0006-folder.md": "no_file",
        "0007-gone.md": "no_file",
        "0008-pipe.md": "no_file",
        "README.md": "no_record",
    }
    assert done["skipped_in_all"] == 8


@pytest.mark.parametrize("method", ["iterdir", "is_dir"])
def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch, method):
    def refuse(path: Path):
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(Path, method, refuse)
        with pytest.raises(NotFound, match="cannot be read"):
            decisions_in(tmp_path)


def test_every_reason_has_its_words(tmp_path):
    _, passed = read_pages(
        {f"{n}.md": record(status=s) for n, s in enumerate(("Draft", "Deprecated", "Huh", "STATUS"))}
    )
    assert len(passed) == 4
    assert set(passed.values()) <= NO_DECISION.keys()
    with pytest.raises(NotFound, match="no decision records"):
        decisions_in(folder_of(tmp_path, {"README.md": "# About", "template.md": record()}))


def test_a_folder_of_records_in_every_standing_is_imported_once(fleet, tmp_path):
    folder = folder_of(
        tmp_path,
        {
            "0001-lists.md": record("Use lists"),
            "0002-trees.md": record("Use trees", "Superseded by [lists](0001-lists.md)"),
            "0003-maps.md": record("Use maps", "Rejected: too slow for us"),
            "0004-heaps.md": record("Use heaps", "Proposed"),
        },
    )
    ada = fleet.fresh("ada")
    done = ada.import_lines(decisions_in(folder))
    assert (done["stored"], done["note"]) == (3, "1 were skipped.")
    assert [hit["title"] for hit in ada.search("use", kinds=["decision"])["attributed"]["hits"]] == ["Use lists"]
    assert [hit["title"] for hit in ada.search("use", kinds=["rejected"])["attributed"]["hits"]] == ["Use maps"]
    again = ada.import_lines(decisions_in(folder))
    assert (again["stored"], again["duplicate"], again["skipped"]) == (0, 3, done["skipped"])
    fleet.audit()
