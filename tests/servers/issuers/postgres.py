"""PostgreSQL 15 of Debian, with passwords checked (SCRAM) also on loopback. It offers no TLS; `postgres_tls` does."""

import glob

import common

APT = ["postgresql-15"]


def start(place, tls=False):
    folder, user = place.unprivileged()
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    port, password = common.free_port(), common.password()
    secret = folder / "password"
    secret.write_text(password)
    if user:
        secret.chmod(0o644)
    data = folder / "data"
    place.call(
        f"{programs}/initdb", "-D", data, "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync",
        cwd=folder, user=user,
    )
    secret.unlink()
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off", "max_connections": 100}
    more = {}
    if tls:
        key, certificate, authority = place.certificate(folder, user)
        # No log-in without TLS; who logs in stands in the log.
        rules = folder / "hba.conf"
        rules.write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
        rules.chmod(0o644)
        options |= {"ssl": "on", "ssl_cert_file": certificate, "ssl_key_file": key, "hba_file": rules, "log_connections": "on"}
        more = {"ca": str(authority)}
    flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
    place.spawn(f"{programs}/postgres", "-D", data, *flags, cwd=folder, user=user)
    env = {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "5"}
    psql = [f"{programs}/psql", "-h", "127.0.0.1", "-p", port, "-U", "postgres", "-d", "postgres", "-w", "-c"]

    def ready():
        try:
            return place.call(*psql, "select 1", env=env)
        except common.Failed:
            return None

    place.wait("log-in", ready)
    place.call(*psql, "create database orders", env=env)
    return {"address": f"127.0.0.1:{port}", "port": port, "admin": "postgres", "password": password, "database": "orders", "psql": f"{programs}/psql", **more}
