"""Redis 7.0 of Debian. The server's program is in redis-tools under another name; the package with the service is not needed.

It takes TLS, too, at a port of its own.
"""

import shutil
import socket

import common

APT = ["redis-tools", "openssl"]


def start(place):
    port, tls_port, password = common.free_port(), common.free_port(), common.password()
    key, certificate, authority = place.certificate()
    configuration = place.write(
        "redis.conf",
        f"bind 127.0.0.1\nport {port}\nprotected-mode yes\nsave \"\"\nappendonly no\ndir {place.data}\n"
        f"tls-port {tls_port}\ntls-cert-file {certificate}\ntls-key-file {key}\ntls-auth-clients no\n"
        f"user default on >{password} ~* &* +@all\n",
    )
    # What it does depends on the name that it is called by.
    place.spawn("redis-server", configuration, executable=shutil.which("redis-server") or shutil.which("redis-check-rdb"))
    place.wait_port(port)
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(f"AUTH default {password}\r\n".encode())
        if not connection.recv(100).startswith(b"+OK"):
            raise common.Failed("redis refuses its own password")
    return {"address": f"127.0.0.1:{port}", "port": port, "admin": "default", "password": password, "tls_address": f"127.0.0.1:{tls_port}", "ca": str(authority)}
