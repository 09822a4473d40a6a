"""The same mail server that takes no password before STARTTLS, also over TLS from the first byte."""

import common

from issuers import smtp

APT = ["openssl"]
# Its packages are those of `smtp`.
AFTER = ["smtp"]


def start(place):
    return smtp.start(place, common.INSTALLED / "python" / "smtp" / "bin" / "python", tls=True)
