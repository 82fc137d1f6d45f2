"""Architecture decision records as arguments of `memory_write`: MADR, the form of this project's own, and Nygard's.

A record that was accepted becomes a decision with its title, its outcome as rationale, its context and consequences as
body, and its options as alternatives; one that was superseded becomes what its successor supersedes, and a rejected one
is of kind `rejected`. A file that says neither is passed over with a reason: nothing is guessed, and nothing comes in
force that its own status says is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from memstore.core.records import MAX_BODY_BYTES, MAX_ITEM, MAX_ITEMS, MAX_RATIONALE_BYTES, MAX_TITLE

STATUS_LINES = 50
LONGEST_LINE = 400  # characters of a heading or of a line of a status that are looked at


class Standing(StrEnum):
    """What a record's status comes to. Of several the later one in this order holds: no record is first accepted and
    then proposed, and none that is rejected was ever in force."""

    NOT_DECIDED = "not_decided"
    UNKNOWN = "unknown_status"
    ACCEPTED = "accepted"
    PARTLY = "partly"
    DEPRECATED = "deprecated"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    TEMPLATE = "template"


NOT_IMPORTED = (Standing.NOT_DECIDED, Standing.UNKNOWN, Standing.DEPRECATED)


@dataclass(frozen=True, slots=True)
class Record:
    """A decision record: what to write, how it stands, and the words in which it names its successor and its older."""

    arguments: dict[str, Any]
    standing: Standing
    successor: str = ""
    older: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the text below it up to the next; level 0 is what comes before the first heading."""

    level: int
    heading: str
    text: str


_ATX = re.compile(r"^ {0,3}(#{1,6})[ \t]+(\S.*)$")
_CLOSING = re.compile(r"(?:\s+#+)?\s*$")
_SETEXT = re.compile(r"^ {0,3}(={2,}|-{2,})[ \t]*$")
_NO_PARAGRAPH = re.compile(r"^(?: {4}|\t|\s*(?:[*+>|-]|\d+[.)]\s|```|~~~|$))")
_FENCE = re.compile(r"^ {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_FRONT_KEY = re.compile(r"^([A-Za-z][\w-]*(?: [\w-]+)?) ?:(?=\s|$)")
_NOTHING = {"", "null", "~", "[]", "none", "n/a", "-", "false"}


def _front_matter(text: str) -> tuple[dict[str, str], str]:
    """The keys of a YAML front matter, in lower case with hyphens, each with its text; and what follows it."""
    lines = text.split("\n")
    ends = (number for number, line in enumerate(lines) if number and line.rstrip() in ("---", "..."))
    end = next(ends, 0) if lines[0].rstrip() == "---" else 0
    said = [line for line in lines[1:end] if line.strip() and not line.startswith("#")]
    if not end or (said and not _FRONT_KEY.match(said[0])):
        return {}, text
    front: dict[str, str] = {}
    key = ""
    for line in said:
        found = _FRONT_KEY.match(line)
        key = re.sub(r"[_ ]", "-", found[1].lower()) if found else key
        value = line[found.end() :] if found else line.strip().removeprefix("- ")
        value = value.partition(" #")[0].strip().strip("\"'")
        if value.lower() not in _NOTHING:
            front[key] = f"{front[key]}, {value}" if key in front else value
    return front, "\n".join(lines[end + 1 :])


def _visible(text: str) -> Iterator[tuple[str, bool]]:
    """(line, whether it is fenced code), without comments: what a reader of the page does not see is not read."""
    fence, in_comment = "", False
    for line in text.split("\n"):
        if fence:
            fence = "" if line.strip().startswith(fence) and not line.strip(f" \t{fence[0]}") else fence
            yield line, True
        elif not in_comment and (opened := _FENCE.match(line)):
            fence = opened[1]
            yield line, True
        else:
            shown, in_comment = _without_comments(line, in_comment=in_comment)
            yield shown, False


def _without_comments(line: str, *, in_comment: bool) -> tuple[str, bool]:
    """A line without its comments, and whether one goes on: only one that opens a line goes beyond it."""
    if in_comment:
        _, closing, line = line.partition("-->")
        if not closing:
            return "", True
    shown: list[str] = []
    while (start := line.find("<!--")) >= 0 and line[:start][-1:] != "`":
        if (end := line.find("-->", start + 4)) < 0:
            return ("", True) if not line[:start].strip() and not shown else ("".join(shown) + line, False)
        shown.append(line[:start])
        line = line[end + 3 :]
    return "".join(shown) + line, False


def _sections(text: str) -> list[Section]:
    found: list[tuple[int, str, list[str]]] = [(0, "", [])]
    for line, is_code in _visible(text):
        below = found[-1][2]
        if is_code:
            below.append(line)
        elif atx := _ATX.match(line):
            found.append((len(atx[1]), _CLOSING.sub("", atx[2][:LONGEST_LINE]), []))
        elif (under := _SETEXT.match(line)) and _is_one_line(below):
            found.append((1 if under[1][0] == "=" else 2, below.pop()[:LONGEST_LINE].strip(), []))
        else:
            below.append(line)
    return [Section(level, heading, "\n".join(lines).strip()) for level, heading, lines in found]


def _is_one_line(below: list[str]) -> bool:
    """Whether what was read last is a paragraph of one line: underlined, it is a heading; else the line is a rule."""
    return bool(below) and not _NO_PARAGRAPH.match(below[-1]) and (len(below) == 1 or not below[-2].strip())


_PARTS = {
    "status": re.compile(r"(?:adr |decision |current )?status"),
    "outcome": re.compile(
        r"(?:the |our |final )?decisions?\b"
        r"(?!.*\b(?:drivers?|records?|logs?|makers?|criteria|dates?|deciders?|history|process|status|tree)\b).*"
    ),
    "context": re.compile(r"(?:the )?context\b.*"),
    "options": re.compile(r"(?:(?:considered|possible) )?(?:options|alternatives)(?: considered)?"),
    "consequences": re.compile(r"(?:positive |negative |neutral )?consequences\b.*"),
    "other": re.compile(r"(?:pros and cons|more information|confirmation|validation|links?|decision drivers)\b.*"),
}
_HEADING_SPLIT = re.compile(r"\s*:\s*|\s+[–—-]\s+")
_OPTION = re.compile(r"^(?:[*+-]|\d+[.)]) +(.+(?:\n  .+)*)", re.MULTILINE)
_NUMBER = re.compile(r"^\s*(?:ADR[- #]*)?\d+(?:[.:)]\s+|\s+[–—-]\s+)", re.IGNORECASE)


def _part(section: Section) -> tuple[str, str]:
    """Which part a heading names, "" for none, and what it says behind a colon or a dash."""
    bare = re.sub(r"^[\W_]*(?:\d+(?:\.\d+)*[.)]?\s+)?", "", section.heading)
    name, *rest = _HEADING_SPLIT.split(bare, maxsplit=1)
    lowered = re.sub(r"[\W_]+$", "", name).lower()
    part = next((part for part, form in _PARTS.items() if section.level and form.fullmatch(lowered)), "")
    return part, (rest[0].strip("*_ ") if rest else "")


@dataclass(slots=True)
class _Page:
    """A file by its parts."""

    front: dict[str, str]
    sections: list[Section]
    title_at: int = 0
    parts: dict[int, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = {at: _part(section) for at, section in enumerate(self.sections)}
        # A heading that only names a part is no title: "Decision" is not, "Decision: use lists" is.
        free = [at for at, (part, rest) in parts.items() if at and (not part or (rest and part != "status"))]
        top = [at for at in free if self.sections[at].level == 1]
        self.title_at = top[0] if top else 1 if 1 in free else 0
        self.parts = {at: part for at, part in parts.items() if part[0] and at != self.title_at}

    @property
    def title(self) -> str:
        heading = self.sections[self.title_at].heading or self.front.get("title", "")
        return _NUMBER.sub("", heading).strip() or heading

    def all_of(self, part: str) -> list[int]:
        return [at for at, (found, _) in self.parts.items() if found == part]

    def text(self, at: int) -> str:
        """What stands in a section, and in those below it that are no part of their own."""
        here = self.sections[at]
        said = [self.parts[at][1], here.text]
        for below_at, below in enumerate(self.sections[at + 1 :], start=at + 1):
            if below.level <= here.level or below_at in self.parts or below_at == self.title_at:
                break
            said += [below.heading, below.text]
        return "\n\n".join(text for text in said if text)

    def of(self, part: str) -> str:
        return "\n\n".join(text for at in self.all_of(part) if (text := self.text(at)))

    def outcome(self) -> str:
        """The outcome, else the decision; a list of decisions without status or context is an index."""
        found = self.all_of("outcome")
        if not self.all_of("status") and not self.all_of("context"):
            found = [at for at in found if not self.sections[at].heading.lower().strip("*_ ").endswith("decisions")]
        found.sort(key=lambda at: "outcome" not in self.sections[at].heading.lower())
        return next((text for at in found if (text := self.text(at))), "")


_DATE = r"\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4}"
_REPLACED = r"super[sc]eded|(?:deprecated|replaced|obsoleted|overridden|succeeded)\W+(?:by|with|in favou?r of)"
_WORDS = {
    Standing.PARTLY: rf"(?:part(?:ly|ially|ial)?|in part)\W+(?:{_REPLACED})"
    "|super[sc]eded (?:part(?:ly|ially)|in part)",
    Standing.SUPERSEDED: _REPLACED,
    Standing.REJECTED: "rejected|declined|withdrawn|abandoned|cancell?ed|dropped|won't do|not (?:accepted|approved)",
    Standing.DEPRECATED: "deprecated|obsolete|obsoleted|retired|expired|archived|inactive|historic|no longer",
    Standing.NOT_DECIDED: "proposed|proposal|propose|draft|pending|on[ -]hold|open|wip|work in progress|in progress|"
    "(?:in|under|for) (?:review|discussion|consideration)|review|rfc|idea|to ?do|tbd|to be \\w+|deferred|"
    "request for comments|postponed|paused|new|undecided|not (?:yet )?\\w+|discussion",
    Standing.ACCEPTED: "accepted|accept|approved|adopted|decided|agreed|active|implemented|done|final|finali[sz]ed|"
    "ratified|resolved|valid|completed?|in (?:force|effect|use)|effective|current|enacted",
}
_STATED = re.compile(
    r"(?i)(?:^|[,;(|→–—]|[-=]>|--|\. |\bbut\b|\band\b)\W*"
    rf"(?:(?:{_DATE}|now|was|is|has|been|later|since|then|status|state|this|it|adr|record|decision|document)\b\W*)*"
    rf"(?:{'|'.join(f'(?P<{standing.name}>{words})' for standing, words in _WORDS.items())})\b"
)
_SUPERSEDES = re.compile(r"(?:^|[,;(.–—])\W*super[sc]edes\b", re.IGNORECASE)
_ANY_WORD = re.compile(r"\b(?:proposed|accepted|rejected|deprecated|superseded|draft|approved)\b", re.IGNORECASE)
_IN_TIME = re.compile(rf"{_DATE}|→|[-=]>")
_STATUS_ROW = re.compile(r"^\W*(?:adr |decision )?status\s*[:|]\s*(.+)$", re.IGNORECASE)
_SUPERSEDED_ROW = re.compile(r"^\W*(?:this \w+ (?:is|was|has been) )?super[sc]eded\b", re.IGNORECASE)
_BY_NOTHING = re.compile(r"\bby\W*(?:none|n/a|null)?\W*$", re.IGNORECASE)
_RULE_ROW = re.compile(r"^[\s|:-]*-[\s|:-]*$")
# What is struck out, and a box that is not ticked, go with their words.
_MARKUP = re.compile(
    r"~~[^~]*~~|\[ \](?!\().*|\[[xX]\](?!\()|[*`]+|(?<!\w)_{1,3}|_{1,3}(?!\w)|</?(?:br|b|i|strong)\b[^>]*>"
)
_PLACEHOLDER = re.compile(r"\[[^\[\]]*\]|\{[^{}]*\}|<[^<>:]*>|(?:(?:NUMBER|N+|X+)\W+)?TITLE|\W*STATUS\W*")
_TEMPLATE_NAME = re.compile(
    r"(?i)[\W\d_]*(?:(?:m?adr|nygard|decision|record)s?[-_ ]?)*template(?:[-_ .](?:bare|minimal|full|short|m?adr|\d+))*"
)


def _plain(text: str) -> list[str]:
    lines = (_MARKUP.sub("", line[:LONGEST_LINE]).strip() for line in text.split("\n")[:STATUS_LINES])
    return [line for line in lines if line]


def _status_lines(page: _Page) -> list[str]:
    """Every line that says how a record stands: front matter, rows before the first part, the section itself."""
    lines = _plain(page.front.get("status", ""))
    for key, words in (("superseded-by", "superseded by"), ("replaced-by", "superseded by"), ("supersedes",) * 2):
        lines += [f"{words} {line}" for line in _plain(page.front.get(key, ""))]
    first = min(page.parts, default=len(page.sections))
    before = (one.text for at, one in enumerate(page.sections) if at < first or one.heading.lower().startswith("meta"))
    rows = _plain("\n".join(before))
    for row, after, below in zip(rows, [*rows[1:], ""], [*rows[2:], "", ""], strict=False):
        if found := _STATUS_ROW.match(row):
            lines.append(found[1].partition("|")[0].strip() if "|" in row[:10] else found[1])
            if _RULE_ROW.match(after) and not _STATED.match(lines[-1]):
                lines[-1] = below.strip("| ").partition("|")[0].strip()
        elif _SUPERSEDED_ROW.match(row) and (after.startswith("[") or not _BY_NOTHING.search(row)):
            lines += [row, after] if after.startswith("[") else [row]
    return lines + _plain(page.of("status"))


def _standing(lines: list[str]) -> tuple[Standing, str, tuple[str, ...]]:
    """How a record stands, the words that name its successor, and those that name what it replaced."""
    found: list[Standing] = []
    successor, older = "", []
    for number, line in enumerate(lines):
        many = len({word.lower() for word in _ANY_WORD.findall(line)}) >= 3
        if (many and not _IN_TIME.search(line)) or (_PLACEHOLDER.fullmatch(line) and not _STATED.match(line)):
            found.append(Standing.TEMPLATE)
        for stated in _STATED.finditer(line):
            standing = Standing[stated.lastgroup or "UNKNOWN"]
            if stated[0].startswith(".") and standing is not Standing.SUPERSEDED:
                continue  # a sentence about something else
            found.append(standing)
            if standing is Standing.SUPERSEDED:
                rest = re.sub(r"^\W*(?:by)?\W*$", "", line[stated.end() :])
                successor = successor or rest or "".join(lines[number + 1 : number + 2])
        older += [line[says.end() :] for says in _SUPERSEDES.finditer(line)]
    found = found or [Standing.UNKNOWN if lines else Standing.ACCEPTED]
    return max(found, key=list(Standing).index), successor, tuple(older)


def read_record(text: str) -> Record | None:
    """A decision record, or None if the text has no title or no outcome; a draft may lack its outcome."""
    front, rest = _front_matter(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    page = _Page(front, _sections(rest))
    standing, successor, older = _standing(lines := _status_lines(page))
    if _PLACEHOLDER.fullmatch(page.title):
        standing = Standing.TEMPLATE
    outcome, context = page.outcome(), page.of("context")
    may_lack = standing in (Standing.NOT_DECIDED, Standing.DEPRECATED, Standing.REJECTED, Standing.TEMPLATE)
    if not page.title or not (outcome or (context and may_lack)):
        return None
    body = f"{context}\n\n{page.of('consequences')}".strip()
    options = [" ".join(option.split())[:MAX_ITEM] for option in _OPTION.findall(page.of("options"))[:MAX_ITEMS]]
    if standing is Standing.REJECTED:
        why = "\n".join(line for line in lines if len(line.split()) > 2)
        outcome = f"{why}\n\n{outcome}".strip() or "unknown"
    arguments: dict[str, Any] = {
        "kind": "rejected" if standing is Standing.REJECTED else "decision",
        "title": page.title[:MAX_TITLE],
        "body": _cut(body, MAX_BODY_BYTES),
        "rationale": _cut(outcome, MAX_RATIONALE_BYTES),
        "alternatives": options or ["none"],
    }
    if standing is Standing.PARTLY:
        arguments["caveats"] = ["Its record says that it is superseded in part."]
    return Record(arguments, standing, successor, older)


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


_FILE_NUMBER = re.compile(r"(?:(?:m?adr|decision|record|dr|rfc)[-_. ]?)*(\d+)|[a-z]{1,12}[-_]?(0\d+)", re.IGNORECASE)
_DATED = re.compile(r"\D{0,12}(?:19|20)\d\d([-_.]?)(?:0\d|1[0-2])\1(?:[0-2]\d|3[01])(?!\d)")
_REFERENCE = re.compile(
    r"(?i)\[(?P<text>[^\[\]\n]*)\]\((?P<target>[^()\s]*)[^()\n]*\)"
    r"|\[\[(?P<wiki>[^\[\]|\n]+)"
    r"|(?P<file>[\w.%-]+\.(?:md|markdown))\b"
    rf"|(?P<date>{_DATE})(?![\w-])"
    r"|(?<![\w.-])(?:(?:m?adr|decision|record|no)?[-_ #.]{0,3})(?P<number>\d{1,18})(?![\w-]|\.\d)"
    r"|(?P<word>\w[\w-]*[-_]\w+)"
)


def _number_of(name: str) -> int | None:
    """The number a file's name begins with; a date is none."""
    found = None if _DATED.match(name) else _FILE_NUMBER.match(name)
    return int((found[1] or found[2])[:18]) if found else None


def _slug(words: str) -> str:
    return re.sub(r"[\W_]+", "-", words.lower()).strip("-")


class _Names:
    """The records of a folder by file name, by number, by name or title without number; what is shared names none."""

    def __init__(self, records: dict[str, Record]) -> None:
        self._exact: dict[str, str] = {}
        self._numbers: dict[int, str] = {}
        self._slugs: dict[str, str] = {}
        for name, record in records.items():
            stem = Path(name).stem
            self._exact |= {name.lower(): name, stem.lower(): name}
            if (number := _number_of(stem)) is not None:
                self._numbers[number] = "" if number in self._numbers else name
            for slug in {_slug(_without_number(stem)), _slug(record.arguments["title"])} - {""}:
                self._slugs[slug] = "" if slug in self._slugs else name

    def meant(self, words: str) -> str:
        """The record that the first reference in `words` means; "" for one that is not here."""
        for found in _REFERENCE.finditer(words):
            match found.lastgroup:
                case "target":
                    return self._named(found["target"]) or self.meant(found["text"])
                case "wiki" | "file":
                    return self._named(found[found.lastgroup])
                case "number":
                    number = int(found["number"])
                    if number in self._numbers or not 1900 <= number < 2100:
                        return self._numbers.get(number, "")
                case "word" if name := self._named(found["word"]):
                    return name
        clause = re.sub(r"^\W*by\b", "", words, flags=re.IGNORECASE)
        return self._slugs.get(_slug(_without_number(clause)), "")

    def _named(self, target: str) -> str:
        file = unquote(re.split(r"[#?]", target, maxsplit=1)[0]).rpartition("/")[2].strip()
        stem = re.sub(r"\.(?:md|markdown|html?)$", "", file, flags=re.IGNORECASE)
        if exact := self._exact.get(file.lower()) or self._exact.get(stem.lower()):
            return exact
        number = _number_of(stem)
        return self._slugs.get(_slug(stem), "") if number is None else self._numbers.get(number, "")


def _without_number(stem: str) -> str:
    found = _DATED.match(stem) or _FILE_NUMBER.match(stem)
    return stem[found.end() :] if found else stem


def read_pages(texts: dict[str, str]) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The records among files, by name, and for every other file the code of why it is none to import.

    The older comes before what replaces it, and `supersedes` names it as `key:NAME`; else the order is kept.
    """
    records = {}
    passed = {}
    for name, text in texts.items():
        record = read_record(text)
        is_template = (record and record.standing is Standing.TEMPLATE) or _TEMPLATE_NAME.fullmatch(Path(name).stem)
        if record is None or is_template:
            passed[name] = "template" if is_template else "no_record"
        else:
            records[name] = record
    older, unlinked = _links(records)
    order: dict[str, None] = {}
    for name in [name for name in records if name not in unlinked]:
        chain = [name]
        while (before := older.get(chain[-1])) is not None and before not in order:
            chain.append(before)
        order |= dict.fromkeys(reversed(chain))
    link = {name: {"supersedes": f"key:{before}"} for name, before in older.items()}
    return {name: records[name].arguments | link.get(name, {}) for name in order}, passed | unlinked


def read_folder(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of a folder by file name, for one whose files are known to be text."""
    return read_pages({path.name: path.read_text("utf-8", errors="replace") for path in sorted(folder.glob("*.md"))})[0]


def _links(records: dict[str, Record]) -> tuple[dict[str, str], dict[str, str]]:
    """What each record supersedes; and the code for each that is not in force and not shown to be replaced.

    A statement supersedes one record: the first of several is linked. One that was superseded comes only with what
    replaced it, for alone it would stand as in force.
    """
    names = _Names(records)
    replaced = {name: record for name, record in records.items() if record.standing is Standing.SUPERSEDED}
    successor = {name: names.meant(record.successor) for name, record in replaced.items()}
    for name, record in records.items():
        for said in map(names.meant, record.older):
            if said in replaced and not successor[said]:
                successor[said] = name
    passed = {name: one.standing.value for name, one in records.items() if one.standing in NOT_IMPORTED}
    followers: dict[str, list[str]] = {}
    for name, by in successor.items():
        followers.setdefault(by, []).append(name)
    older: dict[str, str] = {}
    reached = [name for name in records if name not in replaced and name not in passed]
    for name in reached:
        for first in followers.get(name, [])[:1]:
            older[name] = first
            reached.append(first)
        passed |= dict.fromkeys(followers.get(name, [])[1:], "link_lost")
    lost = replaced.keys() - passed.keys() - set(reached)
    circle = set(lost)
    while ends := {name for name in circle if successor[name] not in circle}:
        circle -= ends
    return older, passed | {name: "circle" if name in circle else "superseded" for name in lost}
