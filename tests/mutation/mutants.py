"""Mutants of the kernels: small mistakes put into a kernel's syntax tree, each behind a switch.

Takes a tree as Cython has parsed it; gives the list of mistakes that could be made in it, and, for
the chosen ones, the tree in which expression and mistake stand side by side: one build holds all
mutants, and a process says which of them is alive. So patterns of text and line numbers play no
part, and kernels may change as they like. Never builds or runs anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, NamedTuple

from Cython.Compiler import ExprNodes, Nodes

SWITCH = "trtop_mutant_is"
"""The C function that tells whether a mutant is alive."""

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
JUNCTIONS = {"and": "or", "or": "and"}
ADDITIONS = {"+": "-", "-": "+"}
BIT_OPERATORS = ("&", "|", "^")

CONSTANT = re.compile(r"[A-Z][A-Z0-9_]+")
NO_NUMBERS = ("NULL", "INT64_MIN", "INT64_MAX", "FOREVER_NS", "BEFORE_ALL_NS", "NO_TIME_NS")
"""Constants of which one more or less says nothing, or is beyond the type."""

UNTOUCHED_CALLS = re.compile(r"prefetch|range|realloc|malloc|memset|memcpy|memcmp|sizeof")
"""Calls whose arguments are compiled in, or say how much memory there is."""

UNTOUCHED_FUNCTIONS = re.compile(
    r"prefetch|hash|grow$|reserve|has_room|allocate|free|widen|take_places|resize|__init__|nbytes"
)
"""Functions that find and make room: what is wrong there costs time or crashes, and counts
nothing."""

UNTOUCHED_NAMES = re.compile(r"capacity|AHEAD|is_prefetched")
"""Likewise expressions and assignments in which one of these occurs."""


class Place(Enum):
    """What a node is part of: bits, where a name is a flag; numbers; or neither, as a value that is
    assigned or handed over, where a name may be of a type of its own."""

    BITS = auto()
    NUMBERS = auto()
    OTHER = auto()


class Site(NamedTuple):
    """Where a mistake can be made, and which: the same in every module that reads the file."""

    file: str
    line: int
    column: int
    change: str


@dataclass(frozen=True)
class Mutant:
    """A mistake, and how people are told where it is.

    Attributes:
        site: where it is.
        function: the innermost function around it.
        kind: comparison, constant, off by one, junction, negation or increment.
    """

    site: Site
    function: str
    kind: str


class Mutation(NamedTuple):
    """A mistake at a node: what it is called, and what takes the node's place when it is alive."""

    kind: str
    change: str
    make: Any


def clone(node: Any) -> Any:
    """A copy of a tree that shares nothing but names and positions."""
    made = node.clone_node()
    for name in made.child_attrs or ():
        child = getattr(made, name)
        if isinstance(child, list):
            setattr(made, name, [clone(one) for one in child])
        elif isinstance(child, Nodes.Node):
            setattr(made, name, clone(child))
    return made


def alive(pos: Any, number: int) -> Any:
    """The expression that is 1 while a mutant is alive, else 0."""
    return ExprNodes.SimpleCallNode(
        pos,
        function=ExprNodes.NameNode(pos, name=SWITCH),
        args=[ExprNodes.IntNode(pos, value=str(number))],
    )


def choose(pos: Any, number: int, mistake: Any, right: Any) -> Any:
    """The mistake while its mutant is alive, else what is right."""
    return ExprNodes.CondExprNode(
        pos, condition=alive(pos, number), true_val=mistake, false_val=right
    )


def truth_of(node: Any) -> Any:
    """Whether an expression holds; what ``and`` and ``or`` are made of may differ in type."""
    not_so = ExprNodes.NotNode(node.pos, operand=node)
    return ExprNodes.NotNode(node.pos, operand=not_so)


def mutations_of(node: Any, place: Place) -> Iterator[Mutation]:
    """The mistakes that can be made at one node."""
    if isinstance(node, ExprNodes.PrimaryCmpNode):
        yield from _comparison(node)
    elif isinstance(node, ExprNodes.BoolBinopNode):
        yield Mutation("junction", f"{node.operator} → {JUNCTIONS[node.operator]}", _junction)
    elif isinstance(node, ExprNodes.NotNode):
        yield Mutation("negation", "not dropped", _negation)
    elif isinstance(node, Nodes.InPlaceAssignmentNode) and node.operator in ADDITIONS:
        operator = node.operator
        yield Mutation("increment", f"{operator}= → {ADDITIONS[operator]}=", _increment)
    elif isinstance(node, (ExprNodes.AddNode, ExprNodes.SubNode)):
        if isinstance(node.operand2, ExprNodes.IntNode):
            return  # the constant's own mutants
        yield Mutation("off by one", f"{node.operator} … + 1", _one_more)
    elif isinstance(node, ExprNodes.BoolNode):
        yield Mutation("constant", f"{bool(node.value)} → {not node.value}", _truth)
    elif isinstance(node, ExprNodes.IntNode):
        yield from _constant(node.value)
    elif isinstance(node, ExprNodes.NameNode) and place is Place.NUMBERS and is_number(node.name):
        yield from _constant(node.name)


def place_in(node: Any, place: Place) -> Place:
    """What the children of a node are part of."""
    if getattr(node, "operator", None) in BIT_OPERATORS or isinstance(node, ExprNodes.TildeNode):
        return Place.BITS
    if isinstance(node, (ExprNodes.NumBinopNode, ExprNodes.CmpNode)):
        return Place.NUMBERS
    return place if isinstance(node, ExprNodes.TypecastNode) else Place.OTHER


def is_number(name: str) -> bool:
    """Whether a name is that of a constant which could be one more or less."""
    return CONSTANT.fullmatch(name) is not None and name not in NO_NUMBERS


def _comparison(node: Any) -> Iterator[Mutation]:
    place, depth = node, 0
    while place is not None:
        if place.operator in COMPARISONS:
            change = f"{place.operator} → {COMPARISONS[place.operator]}"

            def make(node: Any, number: int, right: Any, depth: int = depth) -> Any:
                mistake = clone(node)
                place = mistake
                for _ in range(depth):
                    place = place.cascade
                place.operator = COMPARISONS[place.operator]
                return choose(node.pos, number, mistake, right)

            yield Mutation("comparison", change if not depth else f"{change}, second", make)
        place, depth = place.cascade, depth + 1


def _constant(text: str) -> Iterator[Mutation]:
    for operator in ADDITIONS:

        def make(node: Any, number: int, right: Any, operator: str = operator) -> Any:
            return ExprNodes.binop_node(node.pos, operator, right, alive(node.pos, number))

        yield Mutation("constant", f"{text} → {text} {operator} 1", make)


def _junction(node: Any, number: int, right: Any) -> Any:
    mistake = clone(node)
    mistake.operator = JUNCTIONS[node.operator]
    # Comparisons of one variable are made a `switch` of, which takes `a == 1 and a == 2` for `or`.
    mistake.operand1, mistake.operand2 = truth_of(mistake.operand1), truth_of(mistake.operand2)
    return choose(node.pos, number, truth_of(mistake), truth_of(right))


def _negation(node: Any, number: int, right: Any) -> Any:
    return choose(node.pos, number, truth_of(clone(node.operand)), right)


def _increment(node: Any, number: int, right: Any) -> Any:
    mistake = clone(node)
    mistake.operator = ADDITIONS[node.operator]
    clause = Nodes.IfClauseNode(node.pos, condition=alive(node.pos, number), body=mistake)
    return Nodes.IfStatNode(node.pos, if_clauses=[clause], else_clause=right)


def _one_more(node: Any, number: int, right: Any) -> Any:
    return ExprNodes.binop_node(node.pos, "+", right, alive(node.pos, number))


def _truth(node: Any, number: int, right: Any) -> Any:
    """A comparison with the switch, since a choice between True and False would be an object."""
    return ExprNodes.PrimaryCmpNode(
        node.pos,
        operator="==" if node.value else "!=",
        operand1=alive(node.pos, number),
        operand2=ExprNodes.IntNode(node.pos, value="0"),
    )


class Mutator:
    """One file's tree, walked: lists its mutants, and puts the chosen ones in.

    Args:
        file: the name of the file.
        chosen: the number of each mutant that is to be in the tree.
    """

    def __init__(self, file: str, chosen: dict[Site, int] | None = None) -> None:
        self.file = file
        self.chosen = chosen or {}
        self.found: list[Mutant] = []
        self._function = ""

    def walk_module(self, tree: Any) -> None:
        """Every function of a module or of a class in it."""
        body = tree.body
        for node in getattr(body, "stats", [body]):
            if isinstance(node, (Nodes.CClassDefNode, Nodes.PyClassDefNode)):
                if node.body is not None:
                    self.walk_module(node)
            elif isinstance(node, Nodes.CFuncDefNode):
                self._walk_function(node)

    def _walk_function(self, node: Any) -> None:
        declarator = node.declarator
        while not hasattr(declarator, "name"):
            declarator = declarator.base
        if UNTOUCHED_FUNCTIONS.search(declarator.name):
            return
        self._function = declarator.name
        node.body = self._walk(node.body, Place.OTHER)

    def _walk(self, node: Any, place: Place) -> Any:
        """A node with what is below it; what takes its place."""
        if isinstance(node, (Nodes.CArrayDeclaratorNode, ExprNodes.SizeofNode)):
            return node
        if isinstance(node, (ExprNodes.ExprNode, Nodes.AssignmentNode)) and _is_of_room(node):
            return node
        if place is Place.BITS and isinstance(node, ExprNodes.SubNode):
            return node  # a mask of a power of two: a place in memory
        mutations = self._new_ones(node, place)
        made = [(one, clone(node), number) for one, number in mutations]
        self._walk_children(node, place)
        for one, original, number in made:
            node = one.make(original, number, node)
        return node

    def _new_ones(self, node: Any, place: Place) -> list[tuple[Mutation, int]]:
        """The mutants of a node are noted; those that are chosen come back."""
        wanted = []
        for one in mutations_of(node, place):
            site = Site(self.file, node.pos[1], node.pos[2], one.change)
            self.found.append(Mutant(site, self._function, one.kind))
            if site in self.chosen:
                wanted.append((one, self.chosen[site]))
        return wanted

    def _walk_children(self, node: Any, place: Place) -> None:
        inner = place_in(node, place)
        for name in node.child_attrs or ():
            if _is_left_alone(node, name):
                continue
            child = getattr(node, name)
            if isinstance(child, list):
                setattr(node, name, [self._walk(one, inner) for one in child])
            elif isinstance(child, Nodes.Node):
                setattr(node, name, self._walk(child, inner))


def _is_of_room(node: Any) -> bool:
    """Whether an expression or assignment is about how much memory there is, or what is fetched."""
    for attribute in ("name", "attribute"):
        if UNTOUCHED_NAMES.search(str(getattr(node, attribute, ""))):
            return True
    children = (getattr(node, name) for name in node.child_attrs or ())
    return any(
        _is_of_room(one)
        for child in children
        for one in (child if isinstance(child, list) else [child])
        if isinstance(one, Nodes.Node)
    )


def _is_left_alone(node: Any, name: str) -> bool:
    """Places of memory, types, and what a compiler has to know."""
    if isinstance(node, ExprNodes.IndexNode):
        return name == "index" or isinstance(node.base, ExprNodes.NameNode)
    if isinstance(node, ExprNodes.SimpleCallNode):
        function = node.function
        called = getattr(function, "name", None) or getattr(function, "attribute", "")
        return bool(UNTOUCHED_CALLS.search(called))
    return name in ("base_type", "type_node", "decorators")
