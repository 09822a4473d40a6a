"""smtp.py PORT USERS MAIL [KEY CERTIFICATE TLS_PORT]: a mail server on loopback.

USERS is a JSON file {name: password}, read at each log-in; mail goes to folder MAIL. With a certificate passwords are only taken after
STARTTLS, or at TLS_PORT.
"""

import asyncio
import json
import pathlib
import ssl
import sys
import uuid

from aiosmtpd.smtp import SMTP, AuthResult

port, users, mail = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
key, certificate, tls_port = sys.argv[4:7] if len(sys.argv) > 4 else (None, None, None)
mail.mkdir(exist_ok=True)


def check(server, session, envelope, mechanism, data):
    """Whether name and password stand in the file now."""
    # Not handled: the server answers 535 by itself.
    known = json.loads(users.read_text())
    print("log-in:", data.login.decode(errors="replace"), flush=True)
    right = known.get(data.login.decode(errors="replace")) == data.password.decode(errors="replace")
    return AuthResult(success=right, handled=False)


class Keep:
    """Keeps each message as a file."""

    async def handle_DATA(self, server, session, envelope):
        partial = mail / f".{uuid.uuid4()}"
        partial.write_bytes(envelope.content)
        partial.rename(mail / f"{uuid.uuid4()}.eml")
        return "250 2.0.0 kept"


async def main():
    loop = asyncio.get_running_loop()
    common = {"authenticator": check, "hostname": "mail.corp.example", "loop": loop}
    if not key:
        server = await loop.create_server(lambda: SMTP(Keep(), auth_require_tls=False, **common), "127.0.0.1", port)
        await server.serve_forever()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    starting = lambda: SMTP(Keep(), tls_context=context, require_starttls=True, **common)
    # Over TLS from the first byte the protocol knows nothing of it.
    inside = lambda: SMTP(Keep(), auth_require_tls=False, **common)
    servers = [await loop.create_server(starting, "127.0.0.1", port), await loop.create_server(inside, "127.0.0.1", int(tls_port), ssl=context)]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
