"""The trees that artificial languages descend: Newick strings and nested tuples."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    """A node of a rooted tree; `length` is that of the branch above it."""

    name: str = ""
    length: float = 0.0
    children: tuple[Node, ...] = ()


def parse_newick(text: str) -> Node:
    """Parse ``"((en:0.3,fr:0.3):0.3,bg:0.6);"`` into a `Node`.

    Raises
    ------
    ValueError : the string is not Newick; names the string and the position.
    """
    parts = re.findall(r"[(),;]|:|[^\s(),;:]+", text)
    position = 0

    def fail(expected: str):
        got = parts[position] if position < len(parts) else "the end"
        raise ValueError(f"tree {text!r}: expected {expected}, got {got!r} (symbol {position + 1})")

    def node() -> Node:
        nonlocal position
        children = []
        if position < len(parts) and parts[position] == "(":
            while True:
                position += 1
                children.append(node())
                if position >= len(parts) or parts[position] not in ",)":
                    fail("',' or ')'")
                if parts[position] == ")":
                    position += 1
                    break
        name, length = "", 0.0
        if position < len(parts) and parts[position] not in "(),;:":
            name = parts[position]
            position += 1
        if position < len(parts) and parts[position] == ":":
            position += 1
            try:
                length = float(parts[position])
            except (IndexError, ValueError):
                fail("a branch length")
            if not length >= 0:
                fail("a branch length >= 0")
            position += 1
        if not children and not name:
            fail("a name or '('")
        return Node(name, length, tuple(children))

    root = node()
    if parts[position:] not in ([";"], []):
        fail("';'")
    return root


def leaves(node: Node) -> tuple[str, ...]:
    """Names of the leaves, left to right."""
    if not node.children:
        return (node.name,)
    return tuple(name for child in node.children for name in leaves(child))


def newick(node: Node) -> str:
    """Newick string of a tree, ending in ``;``; branch lengths with six significant digits."""

    def write(node: Node) -> str:
        inner = f"({','.join(map(write, node.children))})" if node.children else ""
        return f"{inner}{node.name}:{node.length:.6g}"

    return write(node) + ";"


def nested(node: Node):
    """Nested tuples of leaf names, the topology alone."""
    return node.name if not node.children else tuple(nested(child) for child in node.children)
