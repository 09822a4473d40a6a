"""A mail server that takes AUTH LOGIN and PLAIN: aiosmtpd. Its users stand in a file; what it is sent it keeps.

It offers no TLS; `smtps` does.
"""

import json

import common

PYTHON = True


def start(place, python=None, tls=False):
    port = common.free_port()
    users = place.write("users.json", json.dumps({}))
    more, words = {}, []
    if tls:
        key, certificate, authority = place.certificate()
        tls_port = common.free_port()
        more = {"tls_address": f"127.0.0.1:{tls_port}", "ca": str(authority)}
        words = [key, certificate, tls_port]
    place.spawn(python or place.python(), common.HERE / "programs" / "smtp.py", port, users, place.data / "mail", *words)
    place.wait_port(port)
    if tls:
        place.wait_port(tls_port)
    return {"address": f"127.0.0.1:{port}", "port": port, "users": str(users), "mail": str(place.data / "mail"), **more}
