"""An npm registry: verdaccio, where people may register."""

import common

NODE = True


def start(place):
    port = common.free_port()
    url = f"http://127.0.0.1:{port}"
    configuration = place.write(
        "config.yaml",
        f"storage: {place.data}/storage\nauth:\n  htpasswd:\n    file: {place.data}/htpasswd\n    max_users: 1000\nuplinks: {{}}\n"
        "packages:\n  '**':\n    access: $authenticated\n    publish: $authenticated\n"
        "security:\n  api:\n    jwt:\n      sign:\n        expiresIn: 29d\nuserRateLimit:\n  windowMs: 1000\n  max: 10000\n"
        "log: { type: stdout, format: json, level: warn }\nweb:\n  enable: false\n",
    )
    place.spawn("node", place.modules() / "verdaccio" / "bin" / "verdaccio", "-c", configuration, "-l", f"127.0.0.1:{port}")
    place.wait_http(f"{url}/-/ping")
    return {"url": url, "port": port}
