"""Stored text in a Markdown page, as code and nothing else: it cannot be markup, a link, an image or a mention.

Code is the one place where every renderer leaves text as it is: what is escaped with backslashes is text again once it
is rendered, and is then searched for addresses and names by some. Hidden characters and role tokens are made visible.
"""

from __future__ import annotations

import re

from memstore.render import escaped

_BACKTICKS = re.compile(r"`+")
# In code they end nothing; but what takes a page apart by lines or cells before it looks for code, takes them so.
_LINE_ENDS = re.compile(r"[\r\n\t\v\f\x85\u2028\u2029]+")


def code(text: str) -> str:
    """One line of text as a code span; "" as a dash."""
    line = escaped(_LINE_ENDS.sub(" ", text)).strip()
    if not line:
        return "–"
    fence = "`" * (_longest_run(line) + 1)
    # CommonMark takes one space off either end, and needs it where the text begins or ends with a backtick.
    return f"{fence} {line} {fence}"


def block(text: str) -> list[str]:
    """Text of several lines as a fenced block, with the lines around it that it needs."""
    body = escaped(text.replace("\r\n", "\n")).replace("\r", "\n")
    fence = "`" * max(3, _longest_run(body) + 1)
    return ["", f"{fence}text", *body.split("\n"), fence]


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
