"""smtp.py PORT USERS MAIL: a mail server on loopback. USERS is a JSON file {name: password}, read at each log-in; mail goes to folder MAIL."""

import asyncio
import json
import pathlib
import sys
import uuid

from aiosmtpd.smtp import SMTP, AuthResult

port, users, mail = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
mail.mkdir(exist_ok=True)


def check(server, session, envelope, mechanism, data):
    """Whether name and password stand in the file now."""
    # Not handled: the server answers 535 by itself.
    known = json.loads(users.read_text())
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
    make = lambda: SMTP(Keep(), authenticator=check, auth_require_tls=False, hostname="mail.corp.example", loop=loop)
    server = await loop.create_server(make, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


asyncio.run(main())
