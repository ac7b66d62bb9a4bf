"""A part of the dependency graph as text for Graphviz and Mermaid."""

from tradingbot_registry.inventory.picture import Picture
from tradingbot_registry.refusals import Reference

COLOURS = {"Active": "#d5f0d8", "Failed": "#f6d0d0", "Inactive": "#e3e3e3", "Draft": "#ffffff"}
"""Backgrounds by status; the status is written too, for those who don't see colours."""


def dot(picture: Picture) -> str:
    """Return the graph in Graphviz' language. An arrow points from an asset to what it needs."""
    lines = ["digraph assets {", "  rankdir=LR;", "  node [shape=box, style=filled];"]
    for node in picture.nodes:
        label = _quoted(f"{node.name}\n{node.type}\n{node.status}")
        lines.append(f'  "{node.id}" [label={label}, fillcolor="{COLOURS[node.status]}"];')
    lines += [f'  "{src}" -> "{dst}";' for src, dst in picture.edges]
    if picture.truncated:
        lines.append('  more [shape=plaintext, style="", label="there is more"];')
    return "\n".join([*lines, "}", ""])


def mermaid(picture: Picture) -> str:
    """Return the graph as a Mermaid flowchart, for Markdown."""
    numbers = {node.id: f"n{number}" for number, node in enumerate(picture.nodes)}
    lines = ["flowchart LR"]
    lines += [
        f'  {numbers[node.id]}["{_entities(node)}"]:::{node.status}' for node in picture.nodes
    ]
    lines += [f"  {numbers[src]} --> {numbers[dst]}" for src, dst in picture.edges]
    if picture.truncated:
        lines.append('  more["there is more"]')
    lines += [
        f"  classDef {status} fill:{colour},stroke:#555,color:#111"
        for status, colour in COLOURS.items()
    ]
    return "\n".join([*lines, ""])


_DOT_ESCAPES = str.maketrans({"&": "&amp;", "\\": "\\\\", '"': '\\"', "\n": "\\n"})


def _quoted(text: str) -> str:
    # A backslash begins an escape in a label, such as \N for the node's name, and & an entity.
    return '"' + text.translate(_DOT_ESCAPES) + '"'


def _entities(node: Reference) -> str:
    # Names are free text: everything but letters, digits and spaces is written by its number.
    return "<br>".join(
        "".join(
            character if character.isalnum() or character in " -_." else f"#{ord(character)};"
            for character in text
        )
        for text in (node.name, node.type, node.status)
    )
