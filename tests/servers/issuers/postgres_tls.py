"""The same PostgreSQL that lets nobody in without TLS."""

from issuers import postgres

APT = [*postgres.APT, "openssl"]


def start(place):
    return postgres.start(place, tls=True)
