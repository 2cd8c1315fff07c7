"""Where the classic tool kept its collector of tcpdump's files."""
