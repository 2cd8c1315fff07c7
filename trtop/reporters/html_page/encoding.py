"""How numbers and text get into a page: short, and never taken for markup.

Takes plain data and text from anywhere, gives JSON for a ``<script>`` that no browser runs, and
text for HTML.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable
from typing import Any

from trtop.escape import escape

_UNSAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
"""What ends a script or begins a comment in it, as JSON spells it within strings."""


def markup(text: str) -> str:
    """Text from anywhere for HTML, its control and bidi characters made visible."""
    return html.escape(escape(text))


def script_json(data: Any) -> str:
    """JSON in ASCII that is safe within ``<script type="application/json">``."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False).translate(_UNSAFE)


def packed(numbers: Iterable[int]) -> list[int]:
    """Numbers from 0 on with each run of zeros as one negative number, none at the end.

    ``0 0 0 5 0 7 0 0`` is ``[-3, 5, -1, 7]``.
    """
    result: list[int] = []
    n_zeros = 0
    for number in numbers:
        if number == 0:
            n_zeros += 1
            continue
        if n_zeros:
            result.append(-n_zeros)
            n_zeros = 0
        result.append(number)
    return result


def content_hash(text: str) -> str:
    """What a content security policy calls a script or a style that it allows."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
