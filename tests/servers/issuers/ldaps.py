"""The same OpenLDAP with StartTLS and `ldaps://`, and a certificate that only who is told trusts."""

from issuers import ldap

APT = [*ldap.APT, "openssl"]


def start(place):
    return ldap.start(place, tls=True)
