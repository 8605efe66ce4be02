"""Turn what is wrong with settings into one readable text, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orcheo_sql.settings._masking import shown
from orcheo_sql.settings._sources import Findings, Found, closest, variable_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orcheo_sql.settings._types import Rule


def describe(
    errors: Sequence[Mapping[str, Any]], findings: Findings, rules: Mapping[str, Rule]
) -> str | None:
    """Return the text of a ConfigError that lists every problem, or None when there is none."""
    problems = [_unknown_argument(name, rules) for name in findings.unknown_arguments]
    problems += [_problem(error, findings, rules) for error in errors]
    if len(problems) < 2:
        return next(iter(problems), None)
    return "\n- ".join([f"{len(problems)} settings can't be used:", *problems])


def _unknown_argument(name: str, rules: Mapping[str, Rule]) -> str:
    meant = closest(name, rules)
    return f"{name!r} is not a setting." + (f" Did you mean {meant!r}?" if meant else "")


def _problem(error: Mapping[str, Any], findings: Findings, rules: Mapping[str, Rule]) -> str:
    name = str(error["loc"][0])
    context = error.get("ctx", {})
    if error["type"] == "dsn_required":
        return _dsn_required(context["consumers"], findings)
    if error["type"] == "complete":
        return str(context["reason"])
    found = findings.values.get(name)
    variable = found.variable if found else variable_of(name)
    reason = context["reason"] if error["type"] == "refused" else rules[name].complaint
    text = reason.replace("{name}", variable)
    if found and found.source.startswith("alias") and name == "checkpoint_backend":
        text = f"Unknown checkpoint_mode: {_plain(found)}. {text}"
    return f"{text} {_value(found, secret=rules[name].secret)}"


def _dsn_required(consumers: Sequence[str], findings: Findings) -> str:
    text = "ORCHEO_POSTGRES_DSN must be set when using the postgres backend."
    chosen = []
    for name in consumers:
        found = findings.values[name]
        chosen.append(found.variable)
        if found.source.startswith("alias"):
            # What operators of the client with these names know.
            text = f"PostgreSQL mode requires POSTGRES_URI in config or environment. {text}"
    return f"{text} Chosen by {', '.join(chosen)}."


def _plain(found: Found) -> str:
    return shown(found.value).strip("'")


def _value(found: Found | None, *, secret: bool) -> str:
    if found is None:
        return "It is not set."
    if secret:
        return f"The value from {found.source} is not shown."
    return f"Got {shown(found.value)} from {found.source}."
