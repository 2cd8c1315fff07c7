"""The capture filter: what the kernel lets through, in pcap-filter(7)'s language.

Gives the default filter of a link type: what the decoder can find TCP in, and little else. It errs
towards letting through: where headers are nested deeper than a filter can follow without a loop
(the kernel's has none), the decoder decides. Opens no device.
"""

from __future__ import annotations

from collections.abc import Sequence

import pcapy

from trtop_core.errors import TrtopError

NETMASK_UNKNOWN = 0xFFFFFFFF
"""Netmask for libpcap: only ``ip broadcast`` needs one."""

DLT_NULL = 0
DLT_EN10MB = 1
DLT_RAW = 12
DLT_LOOP = 108
DLT_LINUX_SLL = 113
DLT_LINUX_SLL2 = 276

LINKTYPE_OF = {DLT_RAW: 101}
"""LINKTYPE_ numbers of files that differ from libpcap's (https://www.tcpdump.org/linktypes.html)."""

ETHERTYPE_AT = {DLT_EN10MB: 12, DLT_LINUX_SLL: 14, DLT_LINUX_SLL2: 0}
"""Offset of the ethertype."""

PAYLOAD_AT = {DLT_EN10MB: 14, DLT_LINUX_SLL: 16, DLT_LINUX_SLL2: 20}
"""Offset of what has that ethertype."""

IPV4, IPV6 = 0x0800, 0x86DD
TAGS = (0x8100, 0x88A8, 0x9100)
OPAQUE = (0x8847, 0x8848, 0x8864)
"""MPLS and PPPoE: what is inside begins at no fixed place."""

TCP, UDP = 6, 17
TUNNELS = (4, 41, 47)
"""IP in IP, 6in4, GRE."""

EXTENSIONS = (0, 43, 44, 51, 60)
"""Extension headers of IPv6: hop-by-hop, routing, fragment, AH, destination options."""

TUNNEL_PORTS = (4789, 6081)
"""VXLAN, Geneve."""

MAX_TAGS = 2
"""Behind so many tags everything is let through."""


def default_filter(dlt: int, decap: bool = True) -> str:
    """What can hold a TCP segment, on a link type.

    Args:
        dlt: as ``pcap_datalink`` gives it.
        decap: whether TCP in tunnels counts.
    """
    v4 = (TCP, *TUNNELS) if decap else (TCP,)
    v6 = (*v4, *EXTENSIONS)
    parts = [f"(ip and {_one_of('ip[9]', v4)})", f"(ip6 and {_one_of('ip6[6]', v6)})"]
    if decap:
        parts += [f"(udp dst port {port})" for port in TUNNEL_PORTS]
    if dlt in ETHERTYPE_AT:
        ethertype = f"link[{ETHERTYPE_AT[dlt]}:2]"
        parts.append(_one_of(ethertype, OPAQUE))
        inside = _inside_tag(PAYLOAD_AT[dlt], v4, v6, UDP if decap else None, MAX_TAGS - 1)
        parts.append(f"({_one_of(ethertype, TAGS)} and {inside})")
    return " or ".join(parts)


def check_filter(expression: str) -> None:
    """Refuse what is no filter before anything starts.

    Raises:
        TrtopError: the expression is wrong; the message says where.
    """
    try:
        pcapy.compile(DLT_EN10MB, 128, expression, 1, NETMASK_UNKNOWN)
    except (pcapy.PcapError, pcapy.BPFError) as error:
        raise filter_error(expression, error) from None


def filter_error(expression: str, error: Exception) -> TrtopError:
    """An error of libpcap about a filter, as one line for the user."""
    return TrtopError(f"the filter {expression!r} is wrong: {error}; see pcap-filter(7)")


def _inside_tag(
    tag_at: int, v4: Sequence[int], v6: Sequence[int], udp: int | None, n_more: int
) -> str:
    """What may follow a tag whose four bytes end in an ethertype."""
    ethertype, at = f"link[{tag_at + 2}:2]", tag_at + 4
    extra = () if udp is None else (udp,)
    parts = [
        f"({ethertype} = {IPV4:#x} and {_one_of(f'link[{at + 9}]', (*v4, *extra))})",
        f"({ethertype} = {IPV6:#x} and {_one_of(f'link[{at + 6}]', (*v6, *extra))})",
        _one_of(ethertype, OPAQUE),
    ]
    deeper = _one_of(ethertype, TAGS)
    if n_more:
        deeper = f"({deeper} and {_inside_tag(at, v4, v6, udp, n_more - 1)})"
    return f"({' or '.join((*parts, deeper))})"


def _one_of(what: str, values: Sequence[int]) -> str:
    return f"({' or '.join(f'{what} = {value}' for value in values)})"
