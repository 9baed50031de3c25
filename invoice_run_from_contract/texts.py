"""Texts of OCA contracts: markers for the period, which price lines print themselves."""

import re

#: "Rent #START# - #END#", "(from #START# to #END#)": the period, at the end of a line of text.
PERIOD = re.compile(r"[\s(\[,:;–-]*(?:\w+\s+)?#START#\W*(?:\w+\W+)?#END#\W*$", re.MULTILINE)
MARKER = re.compile(r"#(?:START|END|INVOICEMONTHNAME)#")


def drop_period(text: str) -> str:
    """Return ``text`` without the period, which every invoice line has below its text."""
    lines = (PERIOD.sub("", line).rstrip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def get_markers(text: str) -> list[str]:
    """Return the markers in ``text`` that nothing fills in."""
    return sorted(set(MARKER.findall(text)))
