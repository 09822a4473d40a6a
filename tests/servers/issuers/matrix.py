"""A Matrix homeserver: Synapse with SQLite, no federation."""

import common

PYTHON = True


def start(place):
    port, shared = common.free_port(), common.password()
    url = f"http://127.0.0.1:{port}"
    first = place.data / "homeserver.yaml"
    homeserver = [place.python(), "-m", "synapse.app.homeserver"]
    place.call(*homeserver, "--server-name", "corp.example", "--config-path", first, "--generate-config", "--report-stats=no")
    raised = "{ per_second: 1000, burst_count: 1000 }"
    second = place.write(
        "over.yaml",
        f"listeners:\n  - port: {port}\n    bind_addresses: ['127.0.0.1']\n    type: http\n    tls: false\n    resources: [{{ names: [client] }}]\n"
        f"registration_shared_secret: {shared}\ntrusted_key_servers: []\nsuppress_key_server_warning: true\nfederation_domain_whitelist: []\n"
        f"bcrypt_rounds: 4\nrc_login:\n  address: {raised}\n  account: {raised}\n  failed_attempts: {raised}\nrc_registration: {raised}\n",
    )
    place.spawn(*homeserver, "-c", first, "-c", second)
    place.wait_http(f"{url}/health")
    password = common.password()
    place.call(place.python("register_new_matrix_user"), "-u", "root", "-p", password, "-a", "-k", shared, url)
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "root"}, "password": password}
    token = common.must(common.http("POST", f"{url}/_matrix/client/v3/login", login), 200)["access_token"]
    return {"url": url, "port": port, "server_name": "corp.example", "admin": "root", "password": password, "token": token}
