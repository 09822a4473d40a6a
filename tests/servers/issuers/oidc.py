"""An OpenID provider: oidc-provider, with introspection (RFC 7662), revocation (RFC 7009) and userinfo."""

import common

NODE = True


def start(place):
    port, secret = common.free_port(), common.password()
    url = f"http://127.0.0.1:{port}"
    program = place.write("server.mjs", (common.HERE / "programs" / "oidc.mjs").read_text())
    # Modules are looked for beside the program.
    (place.data / "node_modules").symlink_to(place.modules())
    place.spawn("node", program, url, port, env={"CLIENT_SECRET": secret})
    place.wait_http(f"{url}/.well-known/openid-configuration")
    return {"url": url, "port": port, "client": "scanner", "secret": secret}
