"""libcurl with GnuTLS, as Debian's pycurl has it, timed by libcurl itself.

    /usr/bin/python3 gnutls_curl.py JOB.json

Writes JSON: the time to the first byte of each answer, in ns.
"""

from __future__ import annotations

import json
import sys

import pycurl

NS_PER_S = 1_000_000_000


def main() -> None:
    """Do a job."""
    with open(sys.argv[1]) as file:
        job = json.load(file)
    if "GnuTLS" not in pycurl.version:
        sys.exit(f"not with GnuTLS: {pycurl.version}")
    versions = {
        "": 0,
        "1.2": pycurl.SSLVERSION_TLSv1_2 | pycurl.SSLVERSION_MAX_TLSv1_2,
        "1.3": pycurl.SSLVERSION_TLSv1_3 | pycurl.SSLVERSION_MAX_TLSv1_3,
    }
    times_ns = []
    for share in job["shares"]:
        handle = pycurl.Curl()
        handle.setopt(pycurl.URL, job["url"])
        handle.setopt(pycurl.SSL_VERIFYPEER, 0)
        handle.setopt(pycurl.SSL_VERIFYHOST, 0)
        handle.setopt(pycurl.SSLVERSION, versions[job["tls"]])
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        handle.setopt(pycurl.WRITEFUNCTION, len)
        for _ in range(share):
            handle.perform()
            start_s = handle.getinfo(pycurl.PRETRANSFER_TIME)
            times_ns.append((handle.getinfo(pycurl.STARTTRANSFER_TIME) - start_s) * NS_PER_S)
        handle.close()
    json.dump({"times_ns": times_ns}, sys.stdout)


if __name__ == "__main__":
    main()
