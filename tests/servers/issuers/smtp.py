"""A mail server that takes AUTH LOGIN and PLAIN: aiosmtpd. Its users stand in a file; what it is sent it keeps."""

import json

import common

PYTHON = True


def start(place):
    port = common.free_port()
    users = place.write("users.json", json.dumps({}))
    place.spawn(place.python(), common.HERE / "programs" / "smtp.py", port, users, place.data / "mail")
    place.wait_port(port)
    return {"address": f"127.0.0.1:{port}", "port": port, "users": str(users), "mail": str(place.data / "mail")}
