"""The part of a stylesheet that a page can use.

wkhtmltopdf reads the stylesheets of a report for each body, header and footer anew; with Odoo's
that is four fifths of the time of an invoice. Most rules name a class that the invoice has not.
"""

import re
from typing import NamedTuple

#: Rules inside of these are rules like others.
NESTING = ("@media", "@supports", "@layer", "@container")
#: What a browser adds to a page by itself.
IMPLICIT = {"html", "head", "body", "tbody", "tr", "colgroup"}

_TOKEN = re.compile(
    r"""/\*.*?\*/ | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | url\([^)"']*\) | [{};]""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")
#: Attributes, and pseudo-classes and elements with what is in their brackets.
_CONDITION = re.compile(r"\[[^\]]*\]|::?[\w-]+")
_BRACKETS = re.compile(r"\([^()]*\)")
_NAME = re.compile(r"[A-Za-z_-][\w-]*")
_WORD = re.compile(r"[\w-]+")


class Rule(NamedTuple):
    """A rule, or what is taken as it is.

    ``needed``: for each selector the names that all must be on the page; empty: always used.
    """

    text: str
    needed: tuple = ()


class Group(NamedTuple):
    """Rules inside of an at-rule."""

    head: str
    rules: tuple


def parse(css: str) -> tuple:
    """Return the rules of a stylesheet, for :func:`get_used`.

    :raises ValueError: it cannot be understood
    """
    statements = _get_statements(css)
    return tuple(_parse_statement(*statement) for statement in statements)


def get_words(*pages: str) -> set:
    """Return all words of these pages, scripts included: what can name a tag, class or id."""
    return IMPLICIT.union(*(_WORD.findall(page) for page in pages))


def get_used(rules: tuple, words: set) -> str:
    """Return the stylesheet of the rules that could apply to a page with these words.

    More than do apply, never less: a rule is left out when a tag, class or id that each of its
    selectors wants is nowhere on the page, in its scripts neither.
    """
    parts = []
    for rule in rules:
        if isinstance(rule, Group):
            inner = get_used(rule.rules, words)
            if inner:
                parts.append(f"{rule.head}{{{inner}}}")
        elif not rule.needed or any(names <= words for names in rule.needed):
            parts.append(rule.text)
    return "".join(parts)


def _get_statements(css):
    """Yield (head, block or None) of each statement at the outermost level."""
    start, block, depth = 0, 0, 0
    for token in _TOKEN.finditer(css):
        sign = token.group()
        if sign == "{":
            depth += 1
            if depth == 1:
                block = token.end()
        elif sign == "}":
            depth -= 1
            if depth < 0:
                raise ValueError("A bracket is closed that was not opened.")
            if depth == 0:
                yield css[start : block - 1].strip(), css[block : token.start()]
                start = token.end()
        elif sign == ";" and depth == 0:
            yield css[start : token.start()].strip(), None
            start = token.end()
    if depth or _COMMENT.sub("", css[start:]).strip():
        raise ValueError("The stylesheet ends within a rule.")


def _parse_statement(head, block):
    if block is None:
        return Rule(f"{head};")
    head = _COMMENT.sub("", head).strip()
    if head.startswith(NESTING):
        return Group(head, parse(block))
    text = f"{head}{{{block}}}"
    if head.startswith("@") or "\\" in head:
        return Rule(text)
    return Rule(text, tuple(_get_names(selector) for selector in _split(head)))


def _split(head):
    """Return the selectors of a rule; commas in brackets do not part them."""
    head = _STRING.sub("", head)
    while _BRACKETS.search(head):
        # selectors within :not(), :is() and the like need not match the page
        head = _BRACKETS.sub("", head)
    return _CONDITION.sub(" ", head).split(",")


def _get_names(selector):
    return frozenset(_NAME.findall(selector))
