"""Names of LINKTYPE_ values, for the message about those that are not decoded. Data only.

Source: https://www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

NAMES: dict[int, str] = {
    3: "AX25",
    6: "IEEE802_5",
    7: "ARCNET_BSD",
    8: "SLIP",
    9: "PPP",
    10: "FDDI",
    50: "PPP_HDLC",
    51: "PPP_ETHER",
    100: "ATM_RFC1483",
    104: "C_HDLC",
    105: "IEEE802_11",
    107: "FRELAY",
    109: "ENC",
    114: "LTALK",
    117: "PFLOG",
    119: "IEEE802_11_PRISM",
    122: "IP_OVER_FC",
    123: "SUNATM",
    127: "IEEE802_11_RADIOTAP",
    129: "ARCNET_LINUX",
    138: "APPLE_IP_OVER_IEEE1394",
    140: "MTP2",
    141: "MTP3",
    142: "SCCP",
    143: "DOCSIS",
    144: "LINUX_IRDA",
    163: "IEEE802_11_AVS",
    165: "BACNET_MS_TP",
    166: "PPP_PPPD",
    169: "GPRS_LLC",
    177: "LINUX_LAPD",
    187: "BLUETOOTH_HCI_H4",
    189: "USB_LINUX",
    192: "PPI",
    195: "IEEE802_15_4_WITHFCS",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR",
    202: "AX25_KISS",
    203: "LAPD",
    204: "PPP_WITH_DIR",
    205: "C_HDLC_WITH_DIR",
    206: "FRELAY_WITH_DIR",
    209: "IPMB_LINUX",
    215: "IEEE802_15_4_NONASK_PHY",
    220: "USB_LINUX_MMAPPED",
    224: "FC_2",
    226: "IPNET",
    227: "CAN_SOCKETCAN",
    230: "IEEE802_15_4_NOFCS",
    231: "DBUS",
    235: "DVB_CI",
    239: "NFLOG",
    240: "NETANALYZER",
    242: "IPOIB",
    245: "NFC_LLCP",
    247: "INFINIBAND",
    248: "SCTP",
    249: "USBPCAP",
    251: "BLUETOOTH_LE_LL",
    252: "WIRESHARK_UPPER_PDU",
    253: "NETLINK",
    254: "BLUETOOTH_LINUX_MONITOR",
    257: "PROFIBUS_DL",
    258: "PKTAP",
    259: "EPON",
    271: "VSOCK",
    274: "ETHERNET_MPACKET",
    283: "IEEE802_15_4_TAP",
    289: "ELEE",
}


def link_type_name(link_type: int) -> str:
    """A link type as users know it: ``10 (FDDI)``, or its number alone."""
    name = NAMES.get(link_type)
    return f"{link_type} ({name})" if name else str(link_type)


def unsupported_lines(link_types: dict[int, int]) -> list[str]:
    """One line for each link type that is not decoded.

    Args:
        link_types: LINKTYPE_ values and how many packets had each.
    """
    return [
        f"unsupported link type {link_type_name(link_type)}: "
        f"{n_packets:,} packet{'' if n_packets == 1 else 's'} not decoded"
        for link_type, n_packets in sorted(link_types.items())
    ]
