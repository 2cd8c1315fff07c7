import pytest
from support.builders.snapshot import destination, snapshot

from trtop.names.base import BaseResolver
from trtop.names.namer import Namer, named, wide
from trtop.names.whitelist import (
    BaseWhitelist,
    BothWhitelist,
    DefaultWhitelist,
    RuleWhitelist,
    StaticListWhitelist,
)
from trtop_core.errors import TrtopError
from trtop_core.view import View


class Names(BaseResolver):
    is_instant = True
    needs_port = False

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def resolve(self, addr: str, port: int) -> str | None:
        return self.names.get(addr)


@pytest.mark.parametrize(
    ("text", "fitting", "others"),
    [
        ("10.0.0.0/8", [("10.255.0.1", 1)], [("11.0.0.0", 1), ("2001:db8::7", 1)]),
        ("10.0.0.7", [("10.0.0.7", 443)], [("10.0.0.8", 443)]),
        ("10.0.0.7/8", [("10.9.9.9", 443)], [("11.0.0.7", 443)]),
        ("10.0.0.0/8:443", [("10.1.1.1", 443)], [("10.1.1.1", 80), ("11.1.1.1", 443)]),
        (":443", [("10.0.0.7", 443), ("::1", 443)], [("10.0.0.7", 4430)]),
        ("443", [("10.0.0.7", 443)], [("10.0.0.7", 44)]),
        ("2001:db8::/32", [("2001:db8::7", 1)], [("2001:db9::7", 1), ("32.1.13.184", 1)]),
        ("2001:db8::7", [("2001:db8::7", 1)], [("2001:db8::8", 1)]),
        ("[2001:db8::7]:80", [("2001:db8::7", 80)], [("2001:db8::7", 81), ("2001:db8::8", 80)]),
        ("[2001:db8::/32]:80", [("2001:db8::9", 80)], [("2001:db8::9", 81)]),
        ("10.0.*", [("10.0.3.4", 1)], [("10.1.3.4", 1)]),
        ("*:443", [("10.0.0.7", 443)], [("10.0.0.7", 80)]),
        ("net 10/8 port 443", [("10.0.3.4", 443)], [("10.0.3.4", 80), ("11.0.3.4", 443)]),
        ("10/8 and not 10.0.0.7", [("10.0.0.8", 1)], [("10.0.0.7", 1), ("11.0.0.8", 1)]),
        ("~^10[.].*[.]7$", [("10.0.0.7", 1)], [("10.0.0.77", 1)]),
        ("port<1024", [("10.0.0.7", 443)], [("10.0.0.7", 1024)]),
    ],
)
def test_a_rule_fits_what_it_says(
    text: str, fitting: list[tuple[str, int]], others: list[tuple[str, int]]
) -> None:
    allowed, denied = RuleWhitelist([text]), RuleWhitelist(deny=[text])
    assert all(allowed.allow(host, port) for host, port in fitting)
    assert not any(allowed.allow(host, port) for host, port in others)
    assert not any(denied.allow(host, port) for host, port in fitting)
    assert all(denied.allow(host, port) for host, port in others)


def test_a_pattern_fits_names_whatever_their_case() -> None:
    rule = RuleWhitelist(["*.Example.com"])
    assert rule.allow_named("10.0.0.1", 443, "WWW.example.COM")
    assert not rule.allow_named("10.0.0.1", 443, "example.com")
    assert not rule.allow_named("10.0.0.1", 443, "www.example.com.evil")
    assert not rule.allow_named("10.0.0.1", 443, None)
    assert RuleWhitelist(["www.example.com:443"]).allow_named("10.0.0.1", 443, "www.example.com")
    assert not RuleWhitelist(["www.example.com:443"]).allow_named("10.0.0.1", 80, "www.example.com")


@pytest.mark.parametrize(
    "text", ["", " ", ":0", ":65536", "99999999999", "10.0.0.0/40", "::g/3", "a or"]
)
def test_a_rule_that_makes_no_sense_is_one_line(text: str) -> None:
    with pytest.raises(TrtopError):
        RuleWhitelist([text])
    with pytest.raises(TrtopError):
        RuleWhitelist(deny=[text])


@pytest.mark.parametrize("text", ["rtt>1ms", "verdict:slow", ":443 or not rst>0"])
def test_numbers_do_not_say_what_is_counted(text: str) -> None:
    with pytest.raises(TrtopError, match="--filter"):
        RuleWhitelist([text])


def test_a_plain_word_of_a_rule_is_a_whole_name() -> None:
    rule = RuleWhitelist(["example.com"])
    assert rule.allow_named("10.0.0.1", 443, "example.com")
    assert not rule.allow_named("10.0.0.1", 443, "example.com.evil")
    assert not rule.allow_named("10.0.0.1", 443, "evil-example.com")
    assert RuleWhitelist(["name:*.com"]).allow_named("10.0.0.1", 443, "evil-example.com")
    assert not RuleWhitelist(["name:10.*"]).allow_named("10.0.0.1", 443, None)


def test_what_no_rule_allows_or_one_denies_is_left_out() -> None:
    rules = RuleWhitelist(["10.0.0.0/8", ":22"], ["10.0.0.7"])
    allowed = [("10.0.0.1", 80), ("192.0.2.1", 22)]
    denied = [("10.0.0.7", 80), ("10.0.0.7", 22), ("192.0.2.1", 80)]
    assert all(rules.allow(*one) for one in allowed)
    assert not any(rules.allow(*one) for one in denied)
    assert RuleWhitelist(deny=["10.0.0.7"]).allow("192.0.2.1", 80)
    assert not RuleWhitelist(deny=["10.0.0.7"]).allow("10.0.0.7", 80)
    assert RuleWhitelist().allow("10.0.0.7", 80)


def test_rules_about_names_follow_the_names_of_a_picture() -> None:
    rows = [destination(f"10.0.0.{i}", syn=i) for i in range(1, 5)]
    names = Names({"10.0.0.1": "a.example.com", "10.0.0.2": "b.example.com", "10.0.0.3": "x.org"})
    namer = Namer(names, RuleWhitelist(["*.example.com"], ["b.*"]))
    view = View()
    result = named(snapshot(rows, wide(view, namer.needs_port)), view, namer)
    assert [row.name for row in result.rows()] == ["a.example.com"]
    assert result.totals.count("syn") == 1
    namer.is_enabled = False
    result = named(snapshot(rows, wide(view, namer.needs_port)), view, namer)
    assert [row.name for row in result.rows()] == ["10.0.0.1"]


def test_ports_are_told_apart_only_where_a_rule_needs_it() -> None:
    assert not Namer(None, RuleWhitelist(["10.0.0.0/8"])).needs_port
    assert Namer(None, RuleWhitelist(["10.0.0.0/8:80"])).needs_port
    assert Namer(None, BaseWhitelist()).needs_port
    assert not Namer(None, StaticListWhitelist([])).needs_port


def test_the_classic_whitelists_say_what_they_always_said() -> None:
    assert DefaultWhitelist().allow("10.0.0.1", 1)
    some = StaticListWhitelist(["10.0.0.1", "10.0.0.2"])
    assert some.allow("10.0.0.2", 1)
    assert not some.allow("10.0.0.3", 1)
    with pytest.raises(NotImplementedError):
        BaseWhitelist().allow("10.0.0.1", 1)


def test_a_whitelist_and_rules_must_both_allow() -> None:
    both = BothWhitelist(StaticListWhitelist(["10.0.0.1", "10.0.0.2"]), RuleWhitelist([":80"]))
    assert both.needs_port
    assert both.allow("10.0.0.1", 80)
    assert not both.allow("10.0.0.1", 81)
    assert not both.allow("10.0.0.3", 80)
    rows = [destination("10.0.0.1", 80, syn=3), destination("10.0.0.1", 81, syn=5),
            destination("10.0.0.3", 80, syn=7)]  # fmt: skip
    namer, view = Namer(None, both), View()
    for _ in range(2):
        result = named(snapshot(rows, wide(view, True)), view, namer)
        namer.wait(30)
    assert [(row.name, row.count("syn")) for row in result.rows()] == [("10.0.0.1", 3)]


def test_rules_look_at_a_contested_name_without_its_mark() -> None:
    assert not RuleWhitelist([], ["evil.example"]).allow_named("10.0.0.1", 443, "evil.example~")
    assert RuleWhitelist(["evil.example"], []).allow_named("10.0.0.1", 443, "evil.example~")
