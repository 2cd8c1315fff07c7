"""Explanations of verdicts: the numbers, the limits, how sure, what next, what else."""

from __future__ import annotations

from typing import Any

import pytest
from support.builders.evidence import AT_ITS_LIMIT, CASES, MS, evidence, healthy

from trtop_core.verdicts.causes import Cause
from trtop_core.verdicts.explain import CASES as JUDGED_BY
from trtop_core.verdicts.explain import FACTS, NEXT_STEPS, Fact, explain
from trtop_core.verdicts.rules import RESTS_ON

ILL = tuple(AT_ITS_LIMIT)


def test_every_cause_has_facts_next_steps_and_metrics_in_which_it_shows() -> None:
    for table in (FACTS, NEXT_STEPS, RESTS_ON):
        assert set(table) == set(ILL)
    assert set(JUDGED_BY) == {*ILL, Cause.OK} - {Cause.CAPTURE}


@pytest.mark.parametrize(("cause", "change"), CASES)
def test_an_explanation_is_of_the_verdict(cause: Cause, change: dict[str, Any]) -> None:
    found = explain(evidence([{}, healthy(**change)]), 1)
    assert found.cause is cause
    assert found.sentence
    assert any(fact.limit for fact in found.facts)
    assert found.next_steps[-len(NEXT_STEPS[cause]) :] == NEXT_STEPS[cause]


@pytest.mark.parametrize("row", [{}, {"syn": 1}, healthy()])
@pytest.mark.parametrize("cause", ILL)
def test_facts_hold_up_without_numbers(cause: Cause, row: dict[str, Any]) -> None:
    from trtop_core.verdicts.because import RowEvidence  # noqa: PLC0415

    if cause is not Cause.NO_REUSE or row.get("reuse"):  # it holds where time was spent only
        assert list(FACTS[cause](RowEvidence(evidence([row]), 0)))


def test_the_numbers_are_those_of_the_row() -> None:
    found = explain(evidence([healthy(refused=13, rst_in=13)]))
    assert found.facts == (Fact("refused", "13 of 100 attempts (13 %)", "from 10 %"),)
    found = explain(evidence([healthy(server_time=[150 * MS] * 23)]))
    assert found.facts[0] == Fact(
        "the service itself, p95", "150 ms of 23 samples", "from 100 ms and 3 × the path"
    )
    assert found.facts[2] == Fact("the path's round trip, p50", "10 ms of 100 samples")
    found = explain(evidence([healthy(rst_in=5, reset_age=[3 * MS] * 5)]))
    assert found.facts[3] == Fact("requests per connection", "10 on average")


@pytest.mark.parametrize(
    ("n", "said"),
    [
        (9, "9 attempts: few, it may be chance"),
        (10, "10 attempts: enough to act on"),
        (99, "99 attempts: enough to act on"),
        (100, "100 attempts: firm"),
    ],
)
def test_how_sure_it_is_depends_on_the_number_of_cases(n: int, said: str) -> None:
    assert explain(evidence([{"syn": n, "refused": n}])).certainty == said


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        ({"reset_age": [8 * MS] * 10 + [9 * MS]}, ["All were cut soon after they began"]),
        ({"reset_age": [60_000 * MS] * 11}, ["Nearly equal ages, 60 s: an idle timeout"]),
        ({"reset_age": [60_000 * MS] * 6 + [MS] * 5}, ["Ages differ (1 ms p5, 60 s p95)"]),
        ({"reset_age": [2 * MS] * 6 + [5_000 * MS] * 5}, ["Ages differ (2 ms p5, 5 s p95)"]),
        ({}, ["It is not known how old"]),
        (
            {"reset_age": [8 * MS] * 11, "reuse": [100] * 11},
            ["All were cut soon", "Each carried 100 requests: a limit of requests"],
        ),
        ({"reset_age": [8 * MS] * 11, "reuse": [1] * 11}, ["All were cut soon"]),
    ],
)
def test_after_resets_it_is_said_what_their_ages_point_to(
    change: dict[str, Any], begins: list[str]
) -> None:
    rows = {"syn": 11, "synack": 11, "est": 11, "requests": 11, "rst_in": 11, "reuse": []}
    *known, last = explain(evidence([rows | change])).next_steps
    assert [step[: len(text)] for step, text in zip(known, begins, strict=True)] == begins
    assert last == NEXT_STEPS[Cause.RESET][0]


def test_few_that_wait_for_long_are_no_chance() -> None:
    row = {"syn": 3, "synack": 3, "est": 3, "requests": 3, "waiting": 1, "waiting_long": 1}
    for wait_s, how in (
        (12, "few, it may be chance"),
        (145, "few, but a wait of 145 s is no chance: enough to act on"),
    ):
        found = explain(evidence([row | {"request_wait_ns": wait_s * 1000 * MS}]))
        assert found.cause is Cause.SILENT
        assert found.certainty == f"3 requests: {how}"
    tried = explain(evidence([{"attempt_wait_ns": 45_000 * MS}]))
    assert tried.cause is Cause.NO_ANSWER
    assert tried.certainty.startswith("1 unanswered SYN: few, but a wait of 45 s is no chance")
    # How long others wait says nothing of a share.
    refused = explain(evidence([{"syn": 9, "refused": 9, "attempt_wait_ns": 45_000 * MS}]))
    assert refused.certainty == "9 attempts: few, it may be chance"


def test_what_else_holds_is_said_and_the_verdict_not_twice() -> None:
    found = explain(evidence([healthy(refused=20, rst_in=40, unanswered=500)]))
    assert found.cause is Cause.REFUSED
    assert [word for word, _ in found.also] == ["RESET", "SILENT"]
    assert found.also[0][1].startswith("20 of 100 connections reset")


def test_where_nothing_is_wrong_nothing_is_explained() -> None:
    found = explain(evidence([healthy()]))
    assert (found.cause, found.sentence, found.facts, found.also) == (Cause.OK, None, (), ())
    assert found.certainty == "100 connections: firm"
    assert explain(evidence([{}])).certainty == ""


def test_what_follows_from_the_verdict_is_nothing_else() -> None:
    again = {"syn_retrans": 40, "timeouts": 20}
    found = explain(evidence([healthy(**again)]))
    assert (found.cause, found.also) == (Cause.NO_ANSWER, ())
    late = {"retrans_out": 300, "segments_out": 1_000, "server_time": [300 * MS] * 20}
    found = explain(evidence([healthy(**late, slow_by_loss=1)]))
    assert (found.cause, found.also) == (Cause.LOSS, ())
    found = explain(evidence([healthy(**late)]))
    assert found.cause is Cause.LOSS
    assert [word for word, _ in found.also] == ["SLOW SERVER"]
