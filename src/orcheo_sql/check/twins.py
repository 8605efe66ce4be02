"""Compare a query with its twin in the other dialect, beyond what the two dialects always write differently.

Both texts are brought to one form by the table of docs/dialects.md: casts that keep the value are left out,
``json_insert(x, '$[#]', y)`` is ``x || y``, and so on. What differs then needs a `Differs:` tag that says why.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .sqltext import Token, closing, code, split

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orcheo_sql._catalog import Query

Words = list[str]

# The same function under its name on each engine.
_NAMES = {
    "jsonb_build_array": "json_array",
    "jsonb_build_object": "json_object",
    "jsonb_array_length": "json_array_length",
    "jsonb_set": "json_set",
    "to_jsonb": "json_quote",
    "json_group_array": "json_agg",
    "jsonb_agg": "json_agg",
    "json_group_object": "json_object_agg",
    "jsonb_object_agg": "json_object_agg",
}
_LITERALS = {"true": "1", "false": "0"}
# Casts to these keep the value, whatever it is; casts to those below keep what a caller gives or what stands there.
_SAME = (["text"], ["uuid"], ["json"], ["jsonb"])
_SAME_IF_GIVEN = (["bigint"], ["boolean"], ["timestamptz"], ["bytea"])
_BEFORE_UNARY = frozenset({"and", "or", "where", "on", "(", ",", "by", "not"})


def differ(one: Query, other: Query) -> bool:
    """Whether two twins say something else, once each is in the common form."""
    return common_form(one.sql) != common_form(other.sql)


def common_form(sql: str) -> Words:
    """Return the words of a query in the form that both dialects share."""
    return _rewritten(code(sql.rstrip().rstrip(";")))


def _rewritten(found: Sequence[Token]) -> Words:
    words: Words = []
    index = 0
    while index < len(found):
        token = found[index]
        name = _NAMES.get(token.key, token.key) if token.kind == "word" else token.text
        if token.text == "::" and _keeps_value(found, index):
            index = _behind_cast(found, index)
        elif token.text == "+" and words and words[-1] in _BEFORE_UNARY:
            index += 1  # SQLite's way to keep a condition from an index
        elif name == "any" and words[-1:] == ["="] and _is_call(found, index):
            end = closing(found, index + 1)
            ids = _rewritten(found[index + 2 : end])
            words[-1:] = ["in", "(", "select", "value", "from", "json_each", "(", *ids, ")", ")"]
            index = end + 1
        elif _is_call(found, index) and name in _CALLS:
            end = closing(found, index + 1)
            arguments = [_rewritten(part) for part in split(found[index + 2 : end])]
            words += _CALLS[name](arguments)
            index = end + 1
        elif words[-1:] == ["is"] and token.key in ("distinct", "not"):
            index += _nullsafe(found, index, words)
        else:
            words.append(_LITERALS.get(name, name))
            index += 1
    return words


def _is_call(found: Sequence[Token], index: int) -> bool:
    return found[index].kind == "word" and index + 1 < len(found) and found[index + 1].text == "("


def _keeps_value(found: Sequence[Token], index: int) -> bool:
    """Whether a cast can't change a value: it says what a parameter or literal is, or writes a value as text or JSON."""
    words = [t.key for t in found[index + 1 : index + 3]]
    if words[1:] == ["("]:
        return False
    return words[:1] in _SAME or (
        words[:1] in _SAME_IF_GIVEN
        and (
            found[index - 1].kind in ("parameter", "number", "string")
            or found[index - 1].key == "null"
        )
        and index > 0
    )


def _behind_cast(found: Sequence[Token], index: int) -> int:
    index += 2
    while index < len(found) and found[index].text in ("[", "]"):
        index += 1
    return index


def _nullsafe(found: Sequence[Token], index: int, words: Words) -> int:
    """Write ``IS [NOT] DISTINCT FROM x`` as SQLite's ``IS [NOT] x``; return how many tokens that took."""
    ahead = [t.key for t in found[index : index + 3]]
    if ahead[:2] == ["distinct", "from"]:
        words.append("not")
        return 2
    if ahead == ["not", "distinct", "from"]:
        return 3
    words.append(found[index].key)
    return 1


def _appended(arguments: list[Words]) -> Words:
    if len(arguments) == 3 and arguments[1] == ["'$[#]'"]:
        return [*arguments[0], "||", *arguments[2]]
    return _call("json_insert", arguments)


def _set(arguments: list[Words]) -> Words:
    """Write the path of ``json_set`` one way: ``'$.a.b'`` is ``'{a,b}'``."""
    if len(arguments) == 3 and re.fullmatch(r"'\$(\.\w+)+'", "".join(arguments[1])):
        path = arguments[1][0].strip("'")[2:].replace(".", ",")
        arguments = [arguments[0], [f"'{{{path}}}'"], arguments[2]]
    return _call("json_set", arguments)


def _json(arguments: list[Words]) -> Words:
    """Leave ``json(x)`` out, and take ``json(iif(x, 'true', 'false'))`` for the JSON of a boolean."""
    [words] = arguments or [[]]
    if words[:2] == ["iif", "("] and words[-5:] == [",", "'true'", ",", "'false'", ")"]:
        return _call("json_quote", [words[2:-5]])
    return words


def _contains(arguments: list[Words]) -> Words:
    if len(arguments) != 2:
        return _call("json_contains", arguments)
    return [*arguments[0], "@>", *arguments[1]]


def _max(arguments: list[Words]) -> Words:
    """Take SQLite's ``max(a, b)`` for ``greatest(a, b)``; with one argument it is the aggregate."""
    return _call("greatest" if len(arguments) > 1 else "max", arguments)


def _call(name: str, arguments: list[Words]) -> Words:
    words = [name, "("]
    for place, argument in enumerate(arguments):
        words += [",", *argument] if place else argument
    return [*words, ")"]


_CALLS: dict[str, Callable[[list[Words]], Words]] = {
    "json_insert": _appended,
    "json_set": _set,
    "json": _json,
    "json_contains": _contains,
    "max": _max,
}
