"""Unleash on the PostgreSQL of these tests: personal access tokens, and client tokens that outlive their deletion for a minute."""

import json

import common

AFTER = ["postgres"]
NODE = True


def start(place):
    database = json.loads((common.RUN / "postgres.json").read_text())
    port, password = common.free_port(), common.password() + "aA1!"
    env = {"PGPASSWORD": database["password"]}
    place.call(database["psql"], "-h", "127.0.0.1", "-p", database["port"], "-U", "postgres", "-d", "postgres", "-c", "create database unleash", env=env)
    program = place.write("server.cjs", (common.HERE / "programs" / "unleash.cjs").read_text())
    (place.data / "node_modules").symlink_to(place.modules())
    settings = {"DATABASE_PORT": str(database["port"]), "DATABASE_PASSWORD": database["password"], "SERVER_PORT": str(port), "ADMIN_PASSWORD": password}
    place.spawn("node", program, env=settings)
    url = f"http://127.0.0.1:{port}"
    place.wait_http(f"{url}/health")
    log_in = {"username": "root", "password": password}
    place.wait("log-in", lambda: common.http("POST", f"{url}/auth/simple/login", log_in)[0] == 200)
    return {"url": url, "port": port, "admin": "root", "password": password}
