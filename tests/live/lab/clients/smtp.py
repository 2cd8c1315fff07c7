"""SMTP: Python's ``smtplib``, in clear or with STARTTLS."""

from __future__ import annotations

from lab.measures import Truth
from lab.pairing import Client, Site, python


def use(site: Site) -> Truth:
    """Send mails, a connection each."""
    return site.timed(site.run(*python("smtp.py", site.job())))


def use_once(site: Site) -> Truth:
    """Send one mail a connection, many."""
    use(site)
    return Truth(0, site.work.connections)


SMTPLIB_ONCE = Client("Python smtplib", (), use_once)
SMTPLIB = Client("Python smtplib", (), use)
