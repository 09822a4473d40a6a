"""JupyterHub with its own proxy; an administrator's service token for tests."""

import secrets

import common

PYTHON = NODE = True


def start(place):
    public, hub, proxy = (common.free_port() for _ in range(3))
    token = secrets.token_hex(32)
    configuration = place.write(
        "jupyterhub_config.py",
        f"""c = get_config()  # noqa
c.JupyterHub.ip = c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.port, c.JupyterHub.hub_port = {public}, {hub}
c.JupyterHub.db_url = "sqlite:///{place.data}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{place.data}/cookie_secret"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy}"
c.ConfigurableHTTPProxy.command = ["node", "{place.modules()}/configurable-http-proxy/bin/configurable-http-proxy"]
c.ConfigurableHTTPProxy.pid_file = "{place.data}/proxy.pid"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.services = [{{"name": "administrator", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [
    {{"name": "administrator", "scopes": ["admin:users", "tokens", "list:users", "read:hub"], "services": ["administrator"]}},
    {{"name": "user", "scopes": ["self", "tokens!user"]}},
]
""",
    )
    place.spawn(place.python(), "-m", "jupyterhub", "-f", configuration)
    url = f"http://127.0.0.1:{public}"
    headers = {"authorization": f"token {token}"}
    place.wait("answer of the API", lambda: common.http("GET", f"{url}/hub/api/users", headers=headers)[0] == 200)
    return {"url": url, "port": public, "token": token}
