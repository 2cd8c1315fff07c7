"""The table of pages: what the screen shows besides the rows, and all keys together.

A new page is one line here.
"""

from __future__ import annotations

from trtop.tui.keys import KEY_OF, KEYS, Action, Key
from trtop.tui.pages.column_chooser import COLUMNS_PAGE
from trtop.tui.pages.detail import DETAIL_PAGE
from trtop.tui.pages.explain import EXPLAIN_PAGE
from trtop.tui.pages.help import help_lines
from trtop.tui.pages.page import Page
from trtop.tui.state import Mode

_PAGES = (DETAIL_PAGE, EXPLAIN_PAGE, COLUMNS_PAGE)

ALL_KEYS: tuple[Key, ...] = (
    *KEYS,
    *(page.key for page in _PAGES if page.key.action is Action.PAGE),
)
"""The table of keys, and those that pages bring."""

PAGES = (
    *_PAGES,
    Page(
        mode=Mode.HELP,
        key=KEY_OF[Action.HELP],
        lines=lambda scene, width, caps: help_lines(ALL_KEYS, width),
        is_everywhere=True,
    ),
)

PAGE_OF_MODE = {page.mode: page for page in PAGES}

PAGE_OF_KEY = {name: page for page in PAGES for name in page.key.keys}
