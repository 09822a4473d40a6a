"""The Docker registry 2.8 of Debian behind HTTP Basic authentication from an htpasswd file, which it reads again when it changes."""

import common

APT = ["docker-registry", "apache2-utils"]


def start(place):
    port, password = common.free_port(), common.password()
    users = place.data / "htpasswd"
    place.call("htpasswd", "-cbB", "-C", "5", users, "root", password)
    configuration = place.write(
        "config.yml",
        f"version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {place.data}/storage\n"
        f"http:\n  addr: 127.0.0.1:{port}\n  secret: {common.password()}\nauth:\n  htpasswd:\n    realm: corp\n    path: {users}\n",
    )
    place.spawn("docker-registry", "serve", configuration)
    url = f"http://127.0.0.1:{port}"
    place.wait("answer", lambda: common.http("GET", f"{url}/v2/", basic=("root", password))[0] == 200)
    return {"url": url, "port": port, "admin": "root", "password": password, "htpasswd": str(users)}
