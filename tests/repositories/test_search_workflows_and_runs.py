"""Search: the same hits in the same order for what users type."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.repositories.factories import (
    MISSING,
    Clock,
    change,
    finished_run,
    lead_to,
    new_run,
    new_version,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import Database, SearchQueryError, ValidationError


async def workflows(db: Database, query: str, **options: Any) -> str:
    """Return the names of the workflows found, in their order."""
    page = await db.workflows.search_workflows(query, **options)
    return " ".join(found.name for found in page.items)


async def runs(db: Database, query: str, **options: Any) -> str:
    """Return the `id` of the inputs of the runs found, in their order."""
    page = await db.workflows.search_runs(query, **options)
    return " ".join(str(found.input_payload.get("id", "?")) for found in page.items)


async def store_texts(db: Database, clock: Clock, texts: dict[str, Any]) -> None:
    """Store one run per text, a second apart; its input has the text, and the key as id."""
    version = await workflow_with_version(db)
    for name, text in texts.items():
        clock.tick()
        await new_run(db, version, {"id": name, "text": text})


TEXTS: dict[str, Any] = {
    "r1": "The retry policy of the payment gateway",
    "r2": "Policy: retry twice, then fail. Gateways differ",
    "r3": "Crème brûlée for Ærøskøbing, Straße in ΆΘΉΝΑ, ЁЛКА",
    "r4": "東京都の天気予報を調べる",
    "r5": "北京大学的学生喜欢上海",
    "r6": "カタカナとひらがな、ﾊﾝｶｸ",
    "r7": "error-code E_1042 at 3.14 in foo-bar.baz v2",
    "r8": ["retry", "policy", {"deep": {"deeper": ["gateway payment"]}}],
    "r9": "한국어 검색 엔진",
    "r10": "ﬁnance ＦＵＬＬ ｗｉｄｔｈ ①②",
    "r11": "don't O'Reilly AND OR NOT NEAR",
}

SEARCHES = [
    ("retry", "r8 r2 r1"),
    ("RETRY Policy", "r8 r2 r1"),
    ("gateway", "r8 r1"),
    ("gateway*", "r8 r2 r1"),
    ("gate*", "r8 r2 r1"),
    ("gate", ""),
    ('"retry policy"', "r1"),
    ('"policy retry"', "r2"),
    ('"Policy: RETRY"', "r2"),
    ('"retry pol*"', "r1"),
    ('"payment gateway"', "r1"),
    ('"gateway payment"', "r8"),
    ("retry -twice", "r8 r1"),
    ("retry -gate*", ""),
    ('retry -"retry policy"', "r8 r2"),
    ("-twice retry -payment", ""),
    ("retry twice fail differ", "r2"),
    ("retry missing", ""),
    ("creme", "r3"),
    ("CRÈME BRULEE", "r3"),
    ("aerøskøbing", ""),
    ("ærøskøbing", "r3"),
    ("strasse", "r3"),
    ("αθηνα", "r3"),
    ("елка", "r3"),
    ("東京", "r4"),
    ("京都", "r4"),
    ("東京都", "r4"),
    ("天気", "r4"),
    ("天気予報", "r4"),
    ("気予", "r4"),
    ("東天", ""),
    ("天", "r4"),
    ("大学", "r5"),
    ("北京", "r5"),
    ("上海", "r5"),
    ("海", "r5"),
    ("京", "r5 r4"),
    ("学生 上海", "r5"),
    ("京大", "r5"),
    ("都大", ""),
    ("カタカナ", "r6"),
    ("タカ", "r6"),
    ("ハンカク", "r6"),
    ("ﾊﾝｶｸ", "r6"),
    ("ひらがな", "r6"),
    ("がひ", ""),
    ("北京 -上海", ""),
    ("京 -東京", "r5"),
    ("1042", "r7"),
    ("e_1042", "r7"),
    ("foo-bar", "r7"),
    ('"foo bar baz"', "r7"),
    ("bar-foo", ""),
    ("3.14", "r7"),
    ("error-co*", "r7"),
    ("검색", "r9"),
    ("finance", "r10"),
    ("full width", "r10"),
    ("1 2", ""),
    ("12", "r10"),
    ("don't", "r11"),
    ("o'reilly", "r11"),
    ("AND", "r11"),
    ("NOT near", "r11"),
    ("retry AND policy", ""),
    ("manual retry", "r8 r2 r1"),
    ('"retry', "r8 r2 r1"),
    ('policy "retry twice', "r2"),
    ("(retry)", "r8 r2 r1"),
    ("text:retry", ""),
    ("^retry + policy", "r8 r2 r1"),
    ("retry^2", ""),
    ("retry;--", "r8 r2 r1"),
    ("r7", "r7"),
]


async def test_what_users_type_finds_the_same_runs_in_the_same_order(
    timed: Database, clock: Clock
) -> None:
    await store_texts(timed, clock, TEXTS)
    wrong = {}
    for query, expected in SEARCHES:
        found = await runs(timed, query)
        if found != expected:
            wrong[query] = (found, expected)
    assert wrong == {}


async def test_what_users_type_finds_the_same_workflows(timed: Database, clock: Clock) -> None:
    for name, text in TEXTS.items():
        clock.tick()
        await workflow_with_version(timed, name, {"nodes": [{"text": text}]})
    wrong = {}
    for query, expected in SEARCHES:
        if "manual" not in query:
            found = await workflows(timed, query)
            if found != expected:
                wrong[query] = (found, expected)
    assert wrong == {}


@pytest.mark.parametrize(
    "query", ["", "  ", '""', "-", "*", "-word", '-"a phrase" -b*', "!!! ... ()", "\0", "🎉", "'"]
)
async def test_a_search_for_nothing_is_refused(db: Database, query: str) -> None:
    with pytest.raises(SearchQueryError, match=r"the search (only excludes|has no word)"):
        await db.workflows.search_runs(query)
    with pytest.raises(SearchQueryError):
        await db.workflows.search_workflows(query)


async def test_a_search_that_is_none_is_refused(db: Database) -> None:
    for wrong in (None, 3, ["word"], "w" * 2001, " ".join(map(str, range(33)))):
        with pytest.raises(SearchQueryError):
            await db.workflows.search_runs(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="workflow_id must be a UUID"):
        await db.workflows.search_runs("word", workflow_id="x")  # type: ignore[arg-type]


async def test_any_text_may_be_searched(db: Database) -> None:
    version = await workflow_with_version(db)
    await new_run(db, version, {"id": "only", "text": "word"})
    for hostile in (
        "word' OR '1'='1", 'word" OR "x', "word\\", "word & !x | (y", "word <-> x", "word:*A",
        "word:*", "word\0more", "\ud800word", "word {search_text}: x", "NEAR(word x, 2)", "%word%",
        "word\ue000", "word \u202e", "'word' <2> x", "word):* & (x", "$1 :search ? %s word",
    ):  # fmt: skip
        found = await runs(db, hostile)
        assert found in ("", "only"), hostile
    assert await runs(db, "'word'") == "only"
    assert await runs(db, "word:*") == "only"


# --- What is searched --------------------------------------------------------------------------


async def test_workflows_are_found_by_all_their_texts(db: Database) -> None:
    workflow = await new_workflow(
        db,
        "Alphaname",
        slug="zetaslug",
        handle="beta-handle",
        description="gammadescription",
        tags=["delta tag"],
    )
    await new_version(db, workflow, {"key": {"node": ["epsilongraph", 4711, True, 2.5]}})
    for query in (
        "alphaname", "beta", "beta-handle", "gammadescription", "delta", '"delta tag"',
        "epsilongraph", "4711", "2.5", "alphaname epsilongraph", "beta delta gamma*",
    ):  # fmt: skip
        assert await workflows(db, query) == "Alphaname", query
    for query in ("zetaslug", "ada", "personal", "key", "node", "true", "null"):
        assert await workflows(db, query) == "", query


async def test_runs_are_found_by_all_their_texts(db: Database) -> None:
    version = await workflow_with_version(
        db,
        runnable_config={
            "run_name": "alphaname",
            "tags": ["betatag"],
            "metadata": {"k": "hiddenmeta"},
        },
    )
    run = await new_run(db, version, {"id": "1", "a": "gammainput"}, triggered_by="deltatrigger")
    await lead_to(db, run, "running")
    await db.workflows.mark_run_succeeded(run.id, actor="w", output={"b": ["epsilonoutput"]})
    other = await new_run(db, version, {"id": "2"}, runnable_config={"run_name": "zetaname"})
    await db.workflows.mark_run_failed(other.id, actor="w", error="etaerror")
    third = await new_run(db, version, {"id": "3"})
    await db.workflows.mark_run_cancelled(third.id, actor="w", reason="thetareason")
    for query, expected in (
        ("gammainput", "1"),
        ("deltatrigger", "1"),
        ("epsilonoutput", "1"),
        ("alphaname", "3 1"),
        ("betatag", "3 2 1"),
        ("zetaname", "2"),
        ("etaerror", "2"),
        ("thetareason", "3"),
        ("betatag thetareason", "3"),
        ("betatag -etaerror -gammainput", "3"),
        ("hiddenmeta", ""),
        ("succeeded", ""),
        ("worker", ""),
    ):
        found = (await runs(db, query)).split()
        assert sorted(found, reverse=True) == expected.split(), query


async def test_keys_of_documents_are_never_found(db: Database) -> None:
    version = await workflow_with_version(db, graph={"graphkey": {"innerkey": 1}})
    run = await new_run(db, version, {"inputkey": {"deepkey": "value"}})
    await lead_to(db, run, "running")
    await db.workflows.mark_run_succeeded(run.id, actor="w", output={"outputkey": "other"})
    assert await runs(db, "value other") == "?"
    for key in ("inputkey", "deepkey", "outputkey", "text", "id"):
        assert await runs(db, key) == ""
    for key in ("graphkey", "innerkey"):
        assert await workflows(db, key) == ""


async def test_a_phrase_does_not_span_two_values(db: Database) -> None:
    workflow = await new_workflow(
        db, "alpha", handle="omega", description="beta", tags=["gamma", "delta"]
    )
    version = await new_version(
        db,
        workflow,
        {"a": "one", "b": ["two", "three four"]},
        runnable_config={"tags": ["t1", "t2"]},
    )
    for phrase in (
        "omega alpha", "alpha beta", "beta gamma", "gamma delta", "delta one", "one two", "two three"
    ):  # fmt: skip
        assert await workflows(db, phrase) == "alpha"
        assert await workflows(db, f'"{phrase}"') == ""
    assert await workflows(db, '"three four"') == "alpha"

    run = await new_run(db, version, {"id": "x", "a": "uno", "b": "dos"}, triggered_by="trigger")
    await lead_to(db, run, "running")
    await db.workflows.mark_run_succeeded(run.id, actor="w", output={"o": "out"})
    for phrase in ("trigger x", "uno dos", "dos t1", "t1 t2", "t2 out", "dos out"):
        assert await runs(db, phrase) == "x", phrase
        assert await runs(db, f'"{phrase}"') == "", phrase


async def test_archived_workflows_are_found_on_request(db: Database) -> None:
    created = await new_workflow(db, "hidden")
    await db.workflows.archive_workflow(created.id, actor="ada")
    assert await workflows(db, "hidden") == ""
    assert await workflows(db, "hidden", include_archived=True) == "hidden"


async def test_runs_of_one_workflow_are_searched_alone(timed: Database, clock: Clock) -> None:
    mine, theirs = await workflow_with_version(timed), await workflow_with_version(timed)
    await new_run(timed, mine, {"id": "m", "w": "word"})
    clock.tick()
    await new_run(timed, theirs, {"id": "t", "w": "word"})
    assert await runs(timed, "word") == "t m"
    assert await runs(timed, "word", workflow_id=mine.workflow_id) == "m"
    assert await runs(timed, "word", workflow_id=MISSING) == ""


# --- What changes ------------------------------------------------------------------------------


async def test_search_follows_every_change_of_a_workflow(db: Database) -> None:
    workflow = await new_workflow(
        db, "oldname", handle="oldhandle", description="olddesc", tags=["oldtag"]
    )
    await new_version(db, workflow, {"t": "oldgraph"})
    assert await workflows(db, "old* oldhandle olddesc oldtag oldgraph") == "oldname"
    await change(db, workflow.id, name="newname")
    await change(db, workflow.id, handle="newhandle")
    await change(db, workflow.id, tags=["newtag"])
    assert await workflows(db, "olddesc oldgraph newname newhandle newtag") == "newname"
    for word in ("oldname", "oldhandle", "oldtag"):
        assert await workflows(db, word) == ""
    await change(db, workflow.id, description="")
    await new_version(db, workflow, {"t": "newgraph"})
    for word in ("olddesc", "oldgraph"):
        assert await workflows(db, word) == ""
    await new_version(db, workflow, {})
    assert await workflows(db, "newgraph") == ""
    assert await workflows(db, "newname newtag newhandle") == "newname"


async def test_an_update_that_fails_leaves_the_search_as_it_was(db: Database) -> None:
    await new_workflow(db, "holder", handle="taken")
    workflow = await new_workflow(db, "oldname")
    with pytest.raises(RuntimeError):
        await change(db, workflow.id, name="newname", handle="taken")
    with pytest.raises(ValidationError):
        await new_version(db, workflow, {"t": "newgraph"}, metadata={"a": float("nan")})
    assert await workflows(db, "oldname") == "oldname"
    assert await workflows(db, "newname") == await workflows(db, "newgraph") == ""


async def test_output_and_error_join_what_a_run_is_found_by(db: Database) -> None:
    version = await workflow_with_version(db)
    run = await new_run(db, version, {"id": "1", "w": "before"})
    await lead_to(db, run, "running")
    assert await runs(db, "before") == "1"
    await db.workflows.mark_run_failed(run.id, actor="w", error="disk exploded")
    assert await runs(db, 'before "disk exploded"') == "1"
    with pytest.raises(ValueError, match="Only pending or running"):
        await db.workflows.mark_run_failed(run.id, actor="w", error="volcano")
    assert await runs(db, "volcano") == ""


async def test_what_is_deleted_is_not_found_through_what_comes_after_it(db: Database) -> None:
    for word in ("first", "second", "third"):
        version = await workflow_with_version(db, f"{word}name", {"t": f"{word}graph"})
        run = await finished_run(db, version, payload={"id": word, "t": f"{word}input"})
        for query, expected in ((f"{word}input", word), ("*input", ""), ("input", "")):
            assert await runs(db, query) == expected
        for stale in {"first", "second", "third"} - {word}:
            assert await runs(db, f"{stale}*") == await workflows(db, f"{stale}*") == ""
        if word == "first":
            await db.workflows.reset()
        else:
            await db.workflows.prune_runs(created_before=run.created_at.replace(year=9000))
            await db.workflows.reset()


# --- Large texts -------------------------------------------------------------------------------


def large_text(words: int, seed: int) -> str:
    """Return distinct words of nine letters and digits."""
    chosen = random.Random(seed)
    return " ".join(f"w{chosen.randrange(36**5):05x}{number:x}" for number in range(words))


async def test_a_text_of_two_megabytes_is_stored_and_found(db: Database) -> None:
    distinct = large_text(200_000, seed=1)
    assert len(set(distinct.split())) * 8 > 1_000_000
    repeated = "lorem ipsum dolor sit amet consectetur " * 53_000
    assert min(len(distinct), len(repeated)) > 2_000_000
    version = await workflow_with_version(db, "Large", {"text": f"graphhead {distinct} graphtail"})
    for name, text in (("distinct", distinct), ("repeated", repeated)):
        run = await new_run(
            db, version, {"id": name, "text": f"{name}head {text} {name}tail 東京都"}
        )
        assert (await db.workflows.get_run(run.id)).input_payload["text"].endswith("tail 東京都")
    some = distinct.split()[123_456]
    neighbours = " ".join(distinct.split()[99_000:99_003])
    for query, expected in (
        (some, "distinct"),
        (f'"{neighbours}"', "distinct"),
        (f"{some[:7]}* distinctt*", "distinct"),
        ("distincthead distincttail", "distinct"),
        ("distinctta", ""),
        ('"distincthead distincttail"', ""),
        ("repeatedtail lorem", "repeated"),
        ('"amet consectetur lorem"', "repeated"),
        (f"lorem {some}", ""),
        (f"東京 -{some}", "repeated"),
        ("京都 -lorem", "distinct"),
        ("東京都 -lorem -distincttail", ""),
    ):
        assert await runs(db, query) == expected, query
    assert await workflows(db, f"graphhead {some} graphtail") == "Large"
    assert await workflows(db, f"graphhead -{some}") == ""
    for run in (await db.workflows.search_runs("distincttail")).items:
        await lead_to(db, run, "running")
        await db.workflows.mark_run_succeeded(
            run.id, actor="w", output={"o": f"outword {repeated}"}
        )
    assert await runs(db, f"outword {some} dolor") == "distinct"


async def test_a_word_of_any_length_is_found(db: Database) -> None:
    version = await workflow_with_version(db)
    long = "x" * 1_500_000
    await new_run(db, version, {"id": "1", "text": f"{long} behind", "b": "é" * 5000})
    for query in ("behind", "x" * 1500, "x" * 64, "e" * 70, "e" * 3 + "*"):
        assert await runs(db, query) == "1", query[:10]
    assert await runs(db, "x" * 63) == ""
