"""The bottom line: what is typed, a message, or the main keys and where they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from trtop.escape import escape
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.foot import height_of
from trtop.tui.frame import Size, TerminalCaps, cut
from trtop.tui.keys import name_of_shown
from trtop.tui.pages.registry import ALL_KEYS, PAGE_OF_MODE
from trtop.tui.prompt_line import MIN_HEIGHT_OF_FOOT, prompt_line
from trtop.tui.scene import Scene
from trtop.tui.state import Mode, State


def bottom_line(
    scene: Scene, size: Size, caps: TerminalCaps
) -> tuple[Line, tuple[int, int] | None]:
    """What is typed, a message, or the main keys; and where the cursor is while one types."""
    state = scene.state
    if state.prompt is not None:
        return prompt_line(state.prompt, _matches(scene), size, caps)
    if state.message and not has_room_above(scene, size):
        text = escape(state.message, caps.ascii_only)
        return cut(line_of(Span(text, Role.BOLD)), size.width, caps.ascii_only), None
    page = PAGE_OF_MODE.get(state.mode)
    if page is not None:
        return _keys_line(page.labels, size.width), None
    pairs = [(key.shown, key.label) for key in ALL_KEYS if key.label]
    return _keys_line(pairs, size.width), None


def has_room_above(scene: Scene, size: Size) -> bool:
    """Whether a message stands above the keys: under the rows, or in the edge of a page."""
    if scene.state.mode is not Mode.LIST:
        return size.height >= MIN_HEIGHT_OF_FOOT
    return scene.model is not None and height_of(size) > 0


def key_places(state: State, bottom: Line) -> tuple[tuple[int, int, str], ...]:
    """Where the keys of the bottom line stand, with their labels."""
    places: list[tuple[int, int, str]] = []
    if state.prompt is not None:
        return ()
    at = 0
    for span in bottom:
        end = at + len(span.text)
        if span.role is Role.KEY and (name := name_of_shown(span.text)):
            places.append((at, end, name))
        elif places and span.text.strip() and places[-1][1] == at:
            places[-1] = (places[-1][0], end, places[-1][2])
        at = end
    return tuple(places)


def _keys_line(pairs: Sequence[tuple[str, str]], width: int) -> Line:
    """Keys and what they do, the main ones first, as many as fit."""
    parts: list[str | Span] = []
    used = 0
    for shown, label in pairs:
        needed = len(shown) + len(label) + 1 + (1 if parts else 0)
        if used + needed > width:
            break
        parts += [" " if parts else "", Span(shown, Role.KEY), f" {label}"]
        used += needed
    return line_of(*parts)


def _matches(scene: Scene) -> str:
    """How many rows what is being typed shows: ``7 of 216``."""
    prompt, model = scene.state.prompt, scene.model
    if prompt is None or model is None or not prompt.is_tried or prompt.error:
        return ""
    if model.filter != prompt.tried:
        return ""
    return f"{model.n_rows:,} of {model.n_destinations:,}"
