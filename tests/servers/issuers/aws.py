"""AWS STS and IAM: moto with its enforcement on and inactive keys refused.

Its first three calls are taken without rights; they make an administrator, who has all rights by a policy.
"""

import common

PYTHON = True


def start(place):
    port = common.free_port()
    url = f"http://127.0.0.1:{port}"
    place.spawn(place.python(), common.HERE / "programs" / "aws.py", "-H", "127.0.0.1", "-p", port, env={"INITIAL_NO_AUTH_ACTION_COUNT": "3"})
    place.wait_http(f"{url}/moto-api/")
    # The first three calls need no rights: they make the administrator.
    facts = place.call(place.python(), common.HERE / "programs" / "aws_seed.py", url)
    key_id, secret = facts.split()
    programs = {"python": str(place.python()), "call": str(common.HERE / "programs" / "aws_call.py")}
    return {"url": url, "port": port, "key_id": key_id, "secret": secret, **programs}
