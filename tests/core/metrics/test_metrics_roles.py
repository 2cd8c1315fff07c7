"""Who is client and who is server, and which row that is (definitions §1, §3, §9)."""

from __future__ import annotations

from typing import Any

import pytest
from support.builders.packets import FIN, NS_PER_MS, PSH, SYN
from support.traffic.stories import CLIENT, OPENED, SERVER, Story, check

MS = NS_PER_MS

CLIENT_NET, SERVER_NET = [f"{CLIENT}/32"], [f"{SERVER}/32"]
MID = {"midstream": 1, "active": 1}
SENT_1 = {"requests": 1, "bytes_out": 1}


def _talk(client_port: int, server_port: int) -> Story:
    return Story(client_port, server_port, client=CLIENT, server=SERVER)


# --- mid-stream: who is the server? ---------------------------------------------------------------


def test_the_sender_of_a_synack_is_the_server_whatever_the_ports() -> None:
    check(_talk(443, 40_000).synack(0), {SERVER: MID})


def test_the_sender_of_a_synack_is_the_server_whatever_is_local() -> None:
    story = _talk(443, 40_000).synack(0)
    check(story, {CLIENT: MID}, local=SERVER_NET, direction="both")
    check(story, {CLIENT: MID}, local=SERVER_NET, direction="in")


def test_a_local_address_is_the_client_whatever_the_ports() -> None:
    check(_talk(443, 40_000).out(0, 1, 1, b"x"), {SERVER: {**MID, **SENT_1}}, local=CLIENT_NET)
    check(_talk(443, 40_000).back(0, 1, 1), {SERVER: MID}, local=CLIENT_NET)


@pytest.mark.parametrize("local", [[], ["203.0.113.0/24"], [*CLIENT_NET, *SERVER_NET]])
@pytest.mark.parametrize("first", ["out", "back"])
@pytest.mark.parametrize(
    ("client_port", "server_port"),
    [(5_000, 1_023), (1_023, 1_022), (32_768, 32_767), (65_535, 5_000), (65_535, 65_534)],
)
def test_the_lower_port_is_the_server_where_one_is_a_services_or_one_a_clients(
    client_port: int, server_port: int, first: str, local: list[str]
) -> None:
    if local and len(local) == 1:
        return  # neither end is local: then nothing is shown, see below
    story = _talk(client_port, server_port)
    getattr(story, first)(0, 1, 1)
    check(story, {SERVER: MID}, local=local)


@pytest.mark.parametrize(
    ("client_port", "server_port"),
    [(1_024, 32_767), (32_767, 1_024), (5_000, 5_000), (443, 443), (40_000, 40_000)],
)
def test_else_the_first_sender_is_the_client(client_port: int, server_port: int) -> None:
    check(_talk(client_port, server_port).out(0, 1, 1), {SERVER: MID})
    check(_talk(client_port, server_port).back(0, 1, 1), {CLIENT: MID})


def test_a_midstream_connection_counts_no_attempt() -> None:
    story = _talk(40_000, 443).out(0, 1, 1, b"x").back(10, 1, 2, b"y")
    counted = {"responses": 1, "bytes_in": 1, "acked_bytes": 0, "response_time": [10 * MS]}
    check(story, {SERVER: {**MID, **SENT_1, **counted, "net_rtt": [10 * MS]}})


# --- a SYN/ACK that turns up later ----------------------------------------------------------------


def test_a_late_synack_turns_the_roles_for_what_follows() -> None:
    # Ports that tell nothing: the server spoke first and is taken for the client.
    story = (
        _talk(5_000, 6_000)
        .back(0, 1, 1, b"abc")
        .out(1, 1, 4)
        .synack(5)
        .out(10, 1, 4, b"q")
        .back(20, 4, 2, b"rr")
    )
    before = {"midstream": 1, "requests": 1, "bytes_out": 3, "net_rtt": [1 * MS]}
    after = {
        "active": 1,
        "requests": 1,
        "bytes_out": 1,
        "responses": 1,
        "bytes_in": 2,
        "acked_bytes": 1,
        "response_time": [10 * MS],
        "server_time": [9 * MS],
        "net_rtt": [10 * MS],
    }
    check(story, {CLIENT: before, SERVER: after})


def test_turned_roles_start_turns_anew() -> None:
    # What looked like a response of the server was the client's; reuse and durations begin anew.
    story = (
        _talk(5_000, 6_000)
        .back(0, 1, 1, b"abc")
        .out(1, 1, 4, b"de")
        .synack(5)
        .out(10, 3, 4, b"q")
        .back(20, 4, 4, b"rr")
        .fin_out(30, 4, 6)
        .fin_back(31, 6, 5)
    )
    before = {
        "midstream": 1,
        "requests": 1,
        "bytes_out": 3,
        "responses": 1,
        "bytes_in": 2,
        "response_time": [1 * MS],
        "net_rtt": [1 * MS],
    }
    after = {
        "requests": 1,
        "bytes_out": 1,
        "responses": 1,
        "bytes_in": 2,
        # The client's first ACK says where counting begins: 3 bytes, then a FIN; the server's 2.
        "acked_bytes": 3 + 1 + 2,
        "fin_out": 1,
        "response_time": [10 * MS],
        "server_time": [9 * MS],
        "response_duration": [10 * MS],
        "net_rtt": [10 * MS],
        "reuse": [1],
    }
    check(story, {CLIENT: before, SERVER: after})


def test_a_late_synack_of_the_server_changes_nothing() -> None:
    story = _talk(40_000, 443).out(0, 1, 1, b"x").synack(5).back(10, 1, 2, b"y")
    counted = {"responses": 1, "bytes_in": 1, "acked_bytes": 1, "net_rtt": [10 * MS]}
    check(story, {SERVER: {**MID, **SENT_1, **counted, "response_time": [10 * MS]}})


def test_a_late_synack_tells_where_a_server_began_that_only_acknowledged() -> None:
    # What it sent between the two was missed.
    story = _talk(40_000, 443).out(0, 1, 1).back(1, 50, 1).synack(2).out(3, 1, 50)
    missed = {"acked_bytes": 49, "capture_gaps": 1, "gap_bytes": 49}
    check(story, {SERVER: {**MID, **missed}})


def test_a_late_synack_of_another_sequence_number_starts_a_new_connection() -> None:
    story = _talk(40_000, 443).out(0, 5, 1, b"x").synack(5)
    check(story, {SERVER: {**SENT_1, "midstream": 2, "active": 1, "unanswered": 1}})


def test_a_late_synack_of_either_side_may_start_a_new_connection() -> None:
    story = _talk(5_000, 6_000).back(0, 1, 1).synack(5, ack=3)
    check(story, {CLIENT: {"midstream": 1}, SERVER: MID})


def test_a_repeated_synack_of_a_midstream_connection_belongs_to_it() -> None:
    story = _talk(40_000, 443).synack(0).out(1, 30, 1).synack(2)
    check(story, {SERVER: MID})


def test_a_syn_behind_the_synack_that_answers_it_joins_it() -> None:
    story = _talk(40_000, 443).synack(0).syn(1).out(2, 1, 1, b"q").back(12, 1, 2, b"r")
    counted = {"responses": 1, "bytes_in": 1, "acked_bytes": 1, "net_rtt": [10 * MS]}
    check(story, {SERVER: {**MID, **SENT_1, **counted, "response_time": [10 * MS]}})


def test_a_syn_that_the_synack_does_not_answer_is_an_attempt() -> None:
    story = _talk(40_000, 443).synack(0).out(1, 1, flags=SYN)
    check(story, {SERVER: {"midstream": 1, "syn": 1, "pending": 1, "active": 1}})


def test_a_syn_behind_a_midstream_connection_is_an_attempt() -> None:
    story = _talk(40_000, 443).out(0, 50, 60).syn(1)
    check(story, {SERVER: {"midstream": 1, "syn": 1, "pending": 1, "active": 1}})


# --- rows -----------------------------------------------------------------------------------------

ROWS: tuple[tuple[str, list[str], str | None], ...] = (
    ("out", [], SERVER),
    ("out", CLIENT_NET, SERVER),
    ("out", SERVER_NET, None),
    ("out", [*CLIENT_NET, *SERVER_NET], SERVER),
    ("out", ["203.0.113.0/24"], None),
    ("in", [], CLIENT),
    ("in", CLIENT_NET, None),
    ("in", SERVER_NET, CLIENT),
    ("in", [*CLIENT_NET, *SERVER_NET], CLIENT),
    ("in", ["203.0.113.0/24"], None),
    ("both", [], SERVER),
    ("both", CLIENT_NET, SERVER),
    ("both", SERVER_NET, CLIENT),
    ("both", [*CLIENT_NET, *SERVER_NET], SERVER),
    ("both", ["203.0.113.0/24"], None),
)


@pytest.mark.parametrize(("direction", "local", "shown"), ROWS)
@pytest.mark.parametrize("group_by", ["addr", "addr,port"])
def test_the_row_of_a_connection(
    direction: str, local: list[str], shown: str | None, group_by: str
) -> None:
    story = _talk(40_000, 443).handshake()
    # Grouped by client too the port is the server's.
    name = shown if group_by == "addr" else f"{shown}:443"
    rows: dict[str, Any] = {} if shown is None else {name: {**OPENED, "active": 1}}
    check(story, rows or {"nowhere": {}}, direction=direction, local=local, group_by=group_by)


@pytest.mark.parametrize(
    ("net", "is_local"),
    [("192.0.2.0/31", True), ("192.0.2.2/31", False), ("0.0.0.0/0", True), ("::/0", True)],
)
def test_local_networks_have_the_length_of_their_prefix(net: str, is_local: bool) -> None:
    if net == "::/0":
        story = Story(client="2001:db8::1", server="2001:db8::7").syn(0)
        name = "2001:db8::7"
    else:
        story, name = _talk(40_000, 443).syn(0), SERVER
    counted = {"syn": 1, "pending": 1, "active": 1}
    check(story, {name: counted} if is_local else {"nowhere": {}}, local=[net])


def test_ipv6_takes_the_same_way() -> None:
    story = Story(client="2001:db8::1", server="2001:db8:1:2::7").handshake()
    check(story, {"2001:db8:1:2::7": {**OPENED, "active": 1}})
    check(story, {"[2001:db8:1:2::7]:443": {**OPENED, "active": 1}}, group_by="addr,port")


def test_addresses_and_ports_tell_connections_apart() -> None:
    stories = [
        Story(40_000, 443, client=CLIENT, server=SERVER).syn(0),
        Story(40_001, 443, client=CLIENT, server=SERVER).syn(1),
        Story(40_000, 444, client=CLIENT, server=SERVER).syn(2),
        Story(40_000, 443, client="192.0.2.3", server=SERVER).syn(3),
        Story(40_000, 443, client=CLIENT, server="198.51.100.8").syn(4),
    ]
    check(
        stories,
        {
            SERVER: {"syn": 4, "pending": 4, "active": 4},
            "198.51.100.8": {"syn": 1, "pending": 1, "active": 1},
        },
    )
    check(
        stories,
        {
            f"{SERVER}:443": {"syn": 3, "pending": 3, "active": 3},
            f"{SERVER}:444": {"syn": 1, "pending": 1, "active": 1},
            "198.51.100.8:443": {"syn": 1, "pending": 1, "active": 1},
        },
        group_by="addr,port",
    )


def test_flags_beside_the_ones_that_count_change_nothing() -> None:
    story = _talk(40_000, 443).syn(0).synack(10, flags=SYN | 0xC0).out(11, 1, 1, flags=PSH | 0xE0)
    check(story, {SERVER: {**OPENED, "active": 1}})
    story.fin_out(20, 1, 1).out(21, 1, 1, flags=FIN | PSH)
    counted = {"fin_out": 1, "fin_retrans": 1, "active": 1}
    check(story, {SERVER: {**OPENED, **counted}})
