"""A YAML document read safely, every value with its place in the file.

Built from parser events, without recursion: no tags, no duplicate keys, bounded size, depth, number of values and
expansion of aliases. Scalars are those of YAML 1.2 (see `transforms.scalars`), so that the country `NO` stays text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydp_cli.errors import PolicyError, Problem
from pydp_cli.transforms.scalars import Scalar, plain_scalar

MAX_BYTES = 1 << 20
MAX_LINE = 1 << 16
MAX_DEPTH = 50
MAX_VALUES = 100_000
"""The most values that a document may have once its aliases are expanded."""

Part = str | int


@dataclass(frozen=True)
class Mark:
    """A place in a file, counted from 1."""

    line: int
    column: int


@dataclass
class Node:
    """A value with its place; the keys of a mapping have places of their own."""

    mark: Mark
    content: Scalar | list[Node] | dict[str, Node] = None
    keys: dict[str, Mark] = field(default_factory=dict)
    plain: bool = False
    blank: bool = False
    size: int = 1
    height: int = 0

    def child(self, part: Part) -> Node | None:
        """Give what is under a key or at a list position."""
        if isinstance(self.content, dict):
            return self.content.get(str(part))
        if isinstance(self.content, list) and isinstance(part, int) and 0 <= part < len(self.content):
            return self.content[part]
        return None

    def data(self) -> Any:
        """Give the value without places; depth is bounded by `MAX_DEPTH`."""
        if isinstance(self.content, dict):
            return {key: node.data() for key, node in self.content.items()}
        if isinstance(self.content, list):
            return [node.data() for node in self.content]
        return self.content


@dataclass(frozen=True)
class Document:
    """A document and the name that messages give it."""

    name: str
    root: Node

    def data(self) -> Any:
        """Give the values without places."""
        return self.root.data()

    def mark_of(self, path: tuple[Part, ...], *, at_key: bool = False) -> Mark:
        """Give the place of the value at a path, or of its key; of its nearest ancestor where it does not exist."""
        node, mark = self.root, self.root.mark
        for index, part in enumerate(path):
            key_mark = node.keys.get(str(part))
            child = node.child(part)
            if child is None:  # a short form: `date: year` stands for `date: {truncate: year}`
                return mark if _is_block(node) else node.mark
            last = index == len(path) - 1
            mark = key_mark if key_mark is not None and (at_key or not last or _is_block(child)) else child.mark
            node = child
        return mark

    def place_of(self, path: tuple[Part, ...], *, at_key: bool = False) -> str:
        """Give the place as `pydp.yml:14:9`."""
        mark = self.mark_of(path, at_key=at_key)
        return f"{self.name}:{mark.line}:{mark.column}"


def _is_block(node: Node) -> bool:
    """A mapping or list is best pointed at by its key, which may be on an earlier line."""
    return isinstance(node.content, (dict, list))


def read_document(raw: bytes, name: str) -> Document:
    """Read one YAML document; raises `PolicyError` with every problem that still lets reading go on."""
    builder = _Builder(name)
    for event in _events(_decode(raw, name), name):
        builder.take(event)
    if builder.root is None:
        builder.stop(Mark(1, 1), "the policy is empty", "`pydp init FILE` writes one to start from")
    if builder.problems:
        raise PolicyError(builder.problems)
    assert builder.root is not None
    return Document(name, builder.root)


def _decode(raw: bytes, name: str) -> str:
    if len(raw) > MAX_BYTES:
        raise _error(f"{name}:1:1", f"a policy has at most {MAX_BYTES:,} bytes")
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise _error(f"{name}:1:1", "the file is UTF-16", "save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lines = raw[: error.start].split(b"\n")
        column = len(lines[-1].decode("utf-8", "replace")) + 1
        place = f"{name}:{len(lines)}:{column}"
        raise _error(place, f"not UTF-8 (byte {error.start})", "save the file as UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("%"):
            raise _error(f"{name}:{number}:1", "YAML directives are not allowed", "leave the line out")
        if len(line) > MAX_LINE:
            raise _error(f"{name}:{number}:1", f"a line has at most {MAX_LINE:,} characters")
    return text


def _error(place: str, message: str, hint: str | None = None) -> PolicyError:
    return PolicyError([Problem(message, place=place, hint=hint)])


def _events(text: str, name: str) -> Iterator[Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark is not None else f"{name}:1:1"
        raise _error(place, _words(error.problem or error.context), _syntax_hint(text, mark)) from None
    except ReaderError as error:
        before = text[: error.position]
        column = error.position - (before.rfind("\n") + 1) + 1
        message = "a control character, which YAML does not allow"
        raise _error(f"{name}:{before.count(chr(10)) + 1}:{column}", message) from None
    except (YAMLError, ValueError, OverflowError, IndexError, AttributeError, TypeError, KeyError, AssertionError):
        # what the parser raises at escapes and versions that make no sense, without a place
        raise _error(f"{name}:1:1", "not valid YAML", "look for odd escapes in quoted text") from None


def _words(problem: str | None) -> str:
    words = " ".join((problem or "not valid YAML").split())
    if "'\\t'" in words:
        return "a tab, which YAML does not allow here"
    return words[:1].lower() + words[1:].rstrip(".")


def _syntax_hint(text: str, mark: Any) -> str | None:
    if mark is None:
        return None
    lines = text.split("\n")
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: mark.column + 1]:
        return "indent with spaces"
    return "put text that has `: `, `#`, quotes or brackets in it in quotes" if ": " in line else None


def _join_parenthesis(parent: Node, key: str) -> bool:
    """Take `{type: decimal(12,2)}` as it is meant: YAML ends an unquoted value at the comma, and finds a key `2)`."""
    assert isinstance(parent.content, dict)
    last = next(reversed(parent.content.values()), None)
    if last is None or not last.plain or not isinstance(last.content, str) or not key.endswith(")"):
        return False
    if last.content.count("(") != last.content.count(")") + 1:
        return False
    last.content = f"{last.content},{key}"
    return True


class _Builder:
    """Builds nodes from events, with a stack of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.root: Node | None = None
        self._stack: list[tuple[Node, list[tuple[str, Mark]], str | None]] = []
        self._anchors: dict[str, Node] = {}
        self._open: set[str] = set()
        self._ended = False
        self._total = 0

    def stop(self, mark: Mark, message: str, hint: str | None = None) -> None:
        """End reading with this problem, after those found before."""
        self._note(mark, message, hint)
        raise PolicyError(self.problems)

    def _note(self, mark: Mark, message: str, hint: str | None = None) -> None:
        self.problems.append(Problem(message, place=f"{self.name}:{mark.line}:{mark.column}", hint=hint))

    def take(self, event: Any) -> None:
        """Take the next event of the parser."""
        kind = type(event).__name__
        if kind in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
            return
        mark = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        if kind == "DocumentStartEvent":
            if self._ended:
                self.stop(mark, "a policy is one YAML document", "leave out the `---` line and what follows")
            self._ended = True
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._close(mark)
        elif kind == "AliasEvent":
            self._alias(event.anchor, mark)
        else:
            self._value(kind, event, mark)

    def _value(self, kind: str, event: Any, mark: Mark) -> None:
        if event.tag is not None:
            self.stop(mark, "tags are not allowed", "leave out what begins with `!`")
        if kind == "ScalarEvent":
            plain = event.style is None or event.style == ""
            text = self._whole(str(event.value), mark)
            blank = plain and text == ""
            if self._expects_key():
                self._key(text, mark, plain=plain)
                if event.anchor is not None:
                    self._note(mark, "a key cannot be an anchor")
                return
            node = Node(
                mark, plain_scalar(text) if plain and not blank else None if blank else text, plain=plain, blank=blank
            )
            self._add(node, event.anchor)
            return
        if self._expects_key():
            self.stop(mark, "a key must be a single word or text")
        if len(self._stack) >= MAX_DEPTH:
            self.stop(mark, f"nested more than {MAX_DEPTH} deep")
        if event.anchor is not None:
            self._open.add(event.anchor)
        self._stack.append((Node(mark, {} if kind == "MappingStartEvent" else []), [], event.anchor))

    def _whole(self, text: str, mark: Mark) -> str:
        """Join the escapes of a character beyond 16 bits, which JSON writes as two."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self.stop(mark, "an escape that is half a character")
        return text

    def _expects_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1][0].content, dict) and not self._stack[-1][1]

    def _key(self, text: str, mark: Mark, *, plain: bool) -> None:
        parent, pending, _ = self._stack[-1]
        if plain and text == "<<":
            self._note(mark, "merge keys are not allowed", "write the keys out, or give the whole value an anchor")
        assert isinstance(parent.content, dict)
        if text in parent.content:
            first = parent.keys[text]
            self._note(mark, f'key "{text[:100]}" is there twice', f"it is first on line {first.line}")
        pending.append((text, mark))

    def _alias(self, anchor: str, mark: Mark) -> None:
        if self._expects_key():
            self.stop(mark, "a key cannot be an alias")
        if anchor in self._open:
            self.stop(mark, "an alias cannot stand within what it stands for")
        node = self._anchors.get(anchor)
        if node is None:
            self.stop(mark, "an alias for which there is no anchor above")
            return
        if len(self._stack) + node.height > MAX_DEPTH:
            self.stop(mark, f"nested more than {MAX_DEPTH} deep")
        self._attach(node, mark)

    def _close(self, mark: Mark) -> None:
        node, _, anchor = self._stack.pop()
        del mark
        if anchor is not None:
            self._open.discard(anchor)
        self._add(node, anchor)

    def _add(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._attach(node, node.mark, counted=isinstance(node.content, (dict, list)))

    def _attach(self, node: Node, mark: Mark, *, counted: bool = False) -> None:
        self._total += 1 if counted else node.size
        if self._total > MAX_VALUES:
            self.stop(mark, f"more than {MAX_VALUES:,} values, counting what aliases stand for")
        if not self._stack:
            self.root = node
            return
        parent, pending, _ = self._stack[-1]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if isinstance(parent.content, list):
            parent.content.append(node)
            return
        assert isinstance(parent.content, dict)
        key, key_mark = pending.pop()
        if node.blank and _join_parenthesis(parent, key):
            return
        if node.blank:
            self._note(key_mark, f'"{key[:100]}" has no value', "write {} for no options, or null if that is meant")
        parent.content.setdefault(key, node)
        parent.keys.setdefault(key, key_mark)
