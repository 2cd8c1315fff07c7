"""What connections do: open, take a turn, close. One call does it for many connections at once.

Every act is strictly causal within its connection (no two segments share a microsecond), keeps
sequence numbers right, and marks each segment with what it proves. Loss is as a client's host
sees it: a lost request is captured twice, a lost response segment leaves a hole until its
retransmission fills it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from generator.exchanges import DELAYED_ACK_US, US_PER_S, Exchange, Habits, Numbers, Which
from generator.flows import MSS_BYTES, Flows, Phase
from generator.profile import Profile
from generator.segments import ACK, FIN, PLAN, PSH, RST, SYN, Event

SYN_RETRIES_US = (1 * US_PER_S, 3 * US_PER_S, 7 * US_PER_S, 15 * US_PER_S)
GIVE_UP_US = 25 * US_PER_S
REOPEN_US = US_PER_S // 10
SYN_LOSS = 0.002
REFUSED_SHARE = 0.5
CLIENT_CLOSES = 0.6

CLIENT_HELLO_BYTES = 517
SERVER_FLIGHT_BYTES = (1_448, 1_448, 904)
FINISHED_BYTES = 64
TICKETS_BYTES = 510
FLIGHT_GAP_US = 5
CRYPTOGRAPHY_US = (200, 900)
"""What a client's host needs for the server's certificate."""


class FlowEvents:
    """The three events; segments pile up until they are taken."""

    def __init__(self, flows: Flows, profile: Profile, rng: np.random.Generator) -> None:
        self._flows = flows
        self._profile = profile
        self._rng = rng
        self._habits = Habits(flows, profile, rng)
        self._said: list[npt.NDArray[Any]] = []

    def take(self) -> list[npt.NDArray[Any]]:
        """The segments since the last call, dtype ``PLAN``, unordered."""
        said, self._said = self._said, []
        return said

    def open(self, who: Which) -> None:
        """SYN, and what becomes of it."""
        flows, n = self._flows, len(who)
        flows.generation[who] += 1
        flows.seq[who] = self._rng.integers(0, 1 << 32, n, dtype=np.uint32)
        flows.peer_seq[who] = self._rng.integers(0, 1 << 32, n, dtype=np.uint32)
        flows.n_responses[who] = 0
        silent = flows.is_silent[who]
        refused = flows.is_refusing[who] & (self._rng.random(n) < REFUSED_SHARE)
        lost = ~silent & ~refused & (self._rng.random(n) < SYN_LOSS)
        start_us = flows.next_us[who].copy()

        self._syn(who, start_us, np.where(silent, Event.SYN | Event.UNANSWERED, Event.SYN))
        self._syn(who[lost], start_us[lost] + US_PER_S, Event.SYN_RETRANS)
        for wait_us in SYN_RETRIES_US:
            self._syn(who[silent], start_us[silent] + wait_us, Event.SYN_RETRANS)
        flows.next_us[who[silent]] += GIVE_UP_US
        flows.seq[who] += np.uint32(1)
        self._refuse(who[refused], start_us[refused])
        answered = ~silent & ~refused
        self._accept(who[answered], start_us[answered], lost[answered])

    def close(self, who: Which) -> None:
        """FIN, FIN, ACK; either side first."""
        flows = self._flows
        client_first = self._rng.random(len(who)) < CLIENT_CLOSES
        start_us, rtt_us = flows.next_us[who].copy(), self._habits.round_trip(who)
        for from_server, chosen in ((False, client_first), (True, ~client_first)):
            some, time_us = who[chosen], start_us[chosen]
            wait_us = self._habits.reaction(len(some)) if from_server else rtt_us[chosen]
            back_us = rtt_us[chosen] if from_server else self._habits.reaction(len(some))
            first = self._segments(some, time_us, from_server, FIN | ACK)
            first["events"] = Event.FIN_IN if from_server else Event.FIN_OUT
            second = self._segments(some, time_us + wait_us, not from_server, FIN | ACK)
            second["ack"] += np.uint32(1)
            second["events"] = Event.CLOSED
            second["value"] = flows.n_responses[some]
            last = self._segments(some, time_us + wait_us + back_us, from_server, ACK)
            last["seq"] += np.uint32(1)
            last["ack"] += np.uint32(1)
            flows.next_us[some] = last["time_us"] + REOPEN_US
        flows.phase[who] = Phase.OPEN

    def exchange(self, who: Which) -> None:
        """A request, its response, and their acknowledgements."""
        if len(who) == 0:
            return
        flows = self._flows
        exchange = Exchange.draw(who, flows, self._habits)
        request_bytes = (exchange.request_segments - 1) * MSS_BYTES + exchange.request_tail
        self._request(exchange)
        flows.seq[who] += request_bytes.astype(np.uint32)
        self._server_acks(exchange)
        self._response(exchange)
        done_us = self._acknowledge(exchange)
        flows.n_responses[who] += exchange.response_segments > 0
        self._repair(exchange, done_us)
        whole = flows.segment_bytes[who] * (exchange.response_segments - 1) + exchange.response_tail
        flows.peer_seq[who] += np.where(exchange.response_segments > 0, whole, 0).astype(np.uint32)
        last = self._rng.random(len(who)) < self._profile.close_share
        flows.phase[who] = np.where(last, Phase.CLOSE, Phase.EXCHANGE)
        flows.next_us[who] = done_us + exchange.think_us
        self._reset(exchange, "server_resets", done_us + 200)
        self._reset(exchange, "client_resets", exchange.arrived_us + 2 * US_PER_S)

    def _request(self, exchange: Exchange) -> None:
        idx, segment = _ragged(exchange.request_segments)
        is_last = segment == exchange.request_segments[idx] - 1
        flags = np.where(is_last, PSH | ACK, ACK)
        data = self._segments(exchange.who[idx], exchange.start_us[idx] + 3 * segment, False, flags)
        data["seq"] += (segment * MSS_BYTES).astype(np.uint32)
        data["payload_len"] = np.where(is_last, exchange.request_tail[idx], MSS_BYTES)
        events = np.full(len(exchange.who), int(Event.REQUEST | self._framing))
        first = self._is_first(exchange.who)
        events[first] = int(Event.TLS_READY | self._framing)
        data["events"] = np.where(segment == 0, events[idx], 0)
        data["value"] = np.where(first, self._flows.tls_us[exchange.who], 0)[idx]
        lost = np.flatnonzero(exchange.fate["request_lost"])
        again = self._segments(exchange.who[lost], exchange.arrived_us[lost], False, PSH | ACK)
        again["seq"] += ((exchange.request_segments[lost] - 1) * MSS_BYTES).astype(np.uint32)
        again["payload_len"] = exchange.request_tail[lost]
        again["events"] = Event.RETRANS_OUT | Event.NO_NEW_BYTES

    @property
    def _framing(self) -> Event:
        """What else the first segment of a turn is."""
        return Event.RECORD if self._profile.tls else Event(0)

    def _is_first(self, who: Which) -> npt.NDArray[np.bool_]:
        """Whether a request is the first after a TLS handshake.

        It counts when it is certain that what came before were tickets: with its answer, or when
        the connection ends.
        """
        first: npt.NDArray[np.bool_] = self._profile.tls & (self._flows.n_responses[who] == 0)
        return first

    def _server_acks(self, exchange: Exchange) -> None:
        """Acknowledge requests: at once after several segments, late where the response is."""
        several = exchange.request_segments > 1
        late = (exchange.service_us > DELAYED_ACK_US) | exchange.fate["client_resets"]
        chosen = several | late
        wait_us = exchange.rtt_us + np.where(several, 0, DELAYED_ACK_US)
        time_us = (exchange.arrived_us + wait_us)[chosen]
        # A reset's client waits far longer than this; a response comes 50 µs later at least.
        self._segments(exchange.who[chosen], time_us, True, ACK)

    def _response(self, exchange: Exchange) -> None:
        flows = self._flows
        idx, segment = _ragged(exchange.response_segments)
        captured = ~(exchange.fate["response_lost"][idx] & (segment == 1))
        idx, segment = idx[captured], segment[captured]
        who = exchange.who[idx]
        is_last = segment == exchange.response_segments[idx] - 1
        time_us = exchange.when(idx, segment, flows.gap_us[exchange.who])
        data = self._segments(who, time_us, True, np.where(is_last, PSH | ACK, ACK))
        data["seq"] += (segment * flows.segment_bytes[who]).astype(np.uint32)
        data["payload_len"] = np.where(
            is_last, exchange.response_tail[idx], flows.segment_bytes[who]
        )
        events = np.full(len(exchange.who), int(Event.RESPONSE | self._framing))
        events[exchange.fate["request_lost"]] |= int(Event.SLOW_BY_LOSS)
        events[self._is_first(exchange.who)] |= int(Event.REQUEST)
        data["events"] = np.where(segment == 0, events[idx], 0)
        data["value"] = np.where(segment == 0, (exchange.answered_us - exchange.asked_us)[idx], 0)

    def _acknowledge(self, exchange: Exchange) -> Numbers:
        """Every second segment and the last; gives when the exchange is done.

        A last odd segment's acknowledgement is delayed, and left out if a request will carry it.
        """
        flows, count = self._flows, exchange.response_segments
        gap_us, size = flows.gap_us[exchange.who], flows.segment_bytes[exchange.who]
        every = np.arange(len(exchange.who))
        prompt = exchange.fate["response_lost"] | exchange.fate["sent_twice"]
        idx, number = _ragged(np.where(exchange.fate["server_resets"], 0, (count + 1) // 2))
        covers = np.minimum(2 * number + 1, count[idx] - 1)
        is_odd = (2 * number + 1 > covers) & ~prompt[idx]
        said = ~is_odd | (exchange.think_us[idx] > DELAYED_ACK_US + US_PER_S // 1000)
        wait_us = np.where(is_odd, DELAYED_ACK_US, exchange.reaction_us[idx])
        time_us = exchange.when(idx, covers, gap_us) + wait_us
        tail = np.where(covers == count[idx] - 1, exchange.response_tail[idx], size[idx])
        up_to = covers * size[idx] + tail
        up_to = np.where(exchange.fate["response_lost"][idx], size[idx], up_to)
        acks = self._segments(exchange.who[idx[said]], time_us[said], False, ACK)
        acks["ack"] += up_to[said].astype(np.uint32)
        return exchange.when(every, np.maximum(count - 1, 0), gap_us) + exchange.reaction_us

    def _repair(self, exchange: Exchange, done_us: Numbers) -> None:
        """Retransmissions of the server: of what was lost, or of what had arrived."""
        flows = self._flows
        size, count = flows.segment_bytes[exchange.who], exchange.response_segments
        whole = size * (count - 1) + exchange.response_tail
        for name, events in (
            ("response_lost", Event.RETRANS_IN),
            ("sent_twice", Event.RETRANS_IN | Event.NO_NEW_BYTES),
        ):
            some = np.flatnonzero(exchange.fate[name])
            done_us[some] += exchange.rto_us[some]
            again = self._segments(exchange.who[some], done_us[some], True, PSH | ACK)
            is_lost = name == "response_lost"
            offset = size if is_lost else size * (count - 1)
            again["seq"] += offset[some].astype(np.uint32)
            again["payload_len"] = (size if is_lost else exchange.response_tail)[some]
            again["events"] = events
            done_us[some] += exchange.reaction_us[some]
            ack = self._segments(exchange.who[some], done_us[some], False, ACK)
            ack["ack"] += whole[some].astype(np.uint32)

    def _reset(self, exchange: Exchange, fate: str, time_us: Numbers) -> None:
        flows, some = self._flows, np.flatnonzero(exchange.fate[fate])
        who, from_server = exchange.who[some], fate == "server_resets"
        reset = self._segments(who, time_us[some], from_server, RST | ACK)
        reset["events"] = Event.CLOSED | (Event.RST_IN if from_server else Event.RST_OUT)
        reset["events"][self._is_first(who)] |= int(Event.REQUEST)
        reset["value"] = flows.n_responses[who]
        flows.phase[who] = Phase.OPEN
        flows.next_us[who] = time_us[some] + US_PER_S

    def _syn(self, who: Which, time_us: Numbers, events: Any) -> None:
        syn = self._segments(who, time_us, False, SYN)
        syn["ack"] = 0
        syn["events"] = events

    def _refuse(self, who: Which, start_us: Numbers) -> None:
        reset = self._segments(who, start_us + self._habits.round_trip(who), True, RST | ACK)
        reset["seq"] = 0
        reset["events"] = Event.RST_IN | Event.REFUSED | Event.CLOSED
        self._flows.next_us[who] = reset["time_us"] + US_PER_S

    def _accept(self, who: Which, start_us: Numbers, lost: npt.NDArray[np.bool_]) -> None:
        flows, rtt_us = self._flows, self._habits.round_trip(who)
        answer_us = start_us + rtt_us + np.where(lost, US_PER_S, 0)
        answer = self._segments(who, answer_us, True, SYN | ACK)
        answer["events"] = np.where(lost, Event.SYNACK, Event.SYNACK | Event.SYN_RTT)
        answer["value"] = rtt_us
        flows.peer_seq[who] += np.uint32(1)
        ack = self._segments(who, answer_us + self._habits.reaction(len(who)), False, ACK)
        ack["events"] = Event.EST
        ack["value"] = ack["time_us"] - start_us
        flows.next_us[who] = ack["time_us"] + self._rng.integers(10, 200, len(who))
        flows.phase[who] = Phase.EXCHANGE
        if self._profile.tls:
            self._shake_hands(who)

    def _shake_hands(self, who: Which) -> None:
        """TLS 1.3: a turn each way, the client's Finished, tickets."""
        flows, start_us = self._flows, self._flows.next_us[who].copy()
        hello_us = start_us + self._habits.round_trip(who)
        ready_us = hello_us + FLIGHT_GAP_US * len(SERVER_FLIGHT_BYTES)
        ready_us += self._rng.integers(*CRYPTOGRAPHY_US, len(who))
        tickets_us = ready_us + self._habits.round_trip(who)
        self._say(who, start_us, False, CLIENT_HELLO_BYTES, Event.CLIENT_HELLO)
        for number, n_bytes in enumerate(SERVER_FLIGHT_BYTES):
            events = Event(0) if number else Event.SERVER_HELLO
            self._say(who, hello_us + number * FLIGHT_GAP_US, True, n_bytes, events)
        self._say(who, ready_us, False, FINISHED_BYTES, Event.FINISHED)
        flows.tls_us[who] = ready_us - start_us
        self._say(who, tickets_us, True, TICKETS_BYTES, Event.TICKETS)
        flows.next_us[who] = tickets_us + self._habits.reaction(len(who))

    def _say(
        self, who: Which, time_us: Numbers, from_server: bool, n_bytes: int, events: Event
    ) -> npt.NDArray[Any]:
        """One segment of so many bytes each."""
        said = self._segments(who, time_us, from_server, PSH | ACK)
        said["payload_len"] = n_bytes
        said["events"] = int(events)
        position = self._flows.peer_seq if from_server else self._flows.seq
        position[who] += np.uint32(n_bytes)
        return said

    def _segments(
        self, who: Which, time_us: Numbers, from_server: bool, flags: Any
    ) -> npt.NDArray[Any]:
        """Segments at their connections' sequence numbers; the caller fills in the rest."""
        flows = self._flows
        plan = np.zeros(len(who), PLAN)
        mine, theirs = (flows.peer_seq, flows.seq) if from_server else (flows.seq, flows.peer_seq)
        plan["time_us"], plan["flow"], plan["client_port"] = time_us, who, flows.port(who)
        plan["seq"], plan["ack"] = mine[who], theirs[who]
        plan["flags"], plan["from_server"] = flags, from_server
        self._said.append(plan)
        return plan


def _ragged(counts: Numbers) -> tuple[Which, Numbers]:
    """Owners and numbers of a ragged array: (0, 0, 2) and (0, 1, 0) for counts (2, 0, 1)."""
    idx = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return idx, np.arange(len(idx)) - before[idx]
