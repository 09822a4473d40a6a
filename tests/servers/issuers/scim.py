"""A SCIM 2.0 directory: scim2-server."""

import common

PYTHON = True


def start(place):
    port, token = common.free_port(), common.password()
    url = f"http://127.0.0.1:{port}"
    place.spawn(place.python("scim2-server"), "--hostname", "127.0.0.1", "--port", port, "--bearer-token", token)
    headers = {"authorization": f"Bearer {token}"}
    place.wait("answer", lambda: common.http("GET", f"{url}/v2/Users", headers=headers)[0] == 200)
    return {"url": f"{url}/v2", "port": port, "token": token}
