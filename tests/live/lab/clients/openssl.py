"""``openssl s_client``: sessions kept in a file, resumed, with and without early data."""

from __future__ import annotations

from lab.measures import Truth
from lab.pairing import Client, Site, service_times

LINE = "one line of it"

REQUEST = "GET /work HTTP/1.1\\r\\nHost: lab\\r\\nConnection: close\\r\\n\\r\\n"


def use_lines(site: Site) -> Truth:
    """Send one line a connection and wait for it reversed; all but the first resume a session."""
    for number in range(site.work.connections):
        script = (
            'coproc client { "$@" 2>/dev/null; }; echo "$LINE" >&"${client[1]}"; '
            'while read -r -t 10 answer <&"${client[0]}"; do '
            'test "$answer" != "$WANTED" || { found=1; break; }; done; '
            'eval "exec ${client[1]}>&-"; wait; test -n "$found"'
        )
        env = {"LINE": LINE, "WANTED": LINE[::-1]}
        site.run("bash", "-c", script, "-", *_command(site, number), "-no_ign_eof", env=env)
    return Truth(site.work.connections, site.work.connections)


def use_http(site: Site) -> Truth:
    """Ask once a connection; all but the first resume a session, with the request as early data."""
    early = site.file("request", REQUEST.encode().decode("unicode_escape"))
    for number in range(site.work.connections):
        words = _command(site, number)
        if number:
            out = site.run(*words, "-early_data", early)
        else:
            out = site.run("bash", "-c", f"printf '{REQUEST}' | \"$@\"", "-", *words)
        assert out.endswith("hello\n"), out
    return Truth(
        site.work.connections, site.work.connections, None, service_times(site.work.connections)
    )


def _command(site: Site, number: int) -> list[str]:
    session = ["-sess_in" if number else "-sess_out", str(site.folder / "session.pem")]
    where = f"{site.address}:{site.port}"
    version = f"-tls{site.setup.tls.replace('.', '_')}"
    return ["openssl", "s_client", "-connect", where, "-quiet", version, *session]


S_CLIENT = Client("openssl s_client", ("openssl", "bash"), use_lines)
S_CLIENT_HTTP = Client("openssl s_client", ("openssl", "bash"), use_http)
