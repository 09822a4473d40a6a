"""AWS STS and IAM: moto with its enforcement on and inactive keys refused.

`reset` of the facts turns enforcement off for the next calls and on again (POST with a number of unauthenticated calls):
the administrator below has its rights by a policy, so tests need it only when they lock themselves out.
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
    return {"url": url, "port": port, "region": "us-east-1", "key_id": key_id, "secret": secret}
