"""What tests of pages share: hostile names, and the data that a page holds."""

from __future__ import annotations

import json
import re
from typing import Any

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    '"><svg/onload=alert(1)>',
    "&lt;b&gt; &amp;",
    "\u202egnp.exe\u2066",
    "a\x00b\x1b[31m\r\n\x85c",
    "{{constructor}} ${1} `x`",
    "\ud800 lone",
    "名前.例",
]
"""Names that anybody may have chosen."""


def data_of(page: str) -> Any:
    """The numbers that the script of a page draws."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])
