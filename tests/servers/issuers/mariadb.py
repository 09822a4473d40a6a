"""MariaDB 10.11 of Debian: the server alone, without Debian's service and its data."""

import os
import pwd

import common

APT = ["mariadb-server-core", "mariadb-client-core"]


def start(place):
    port, password = common.free_port(), common.password()
    data, user = place.data / "data", pwd.getpwuid(os.geteuid()).pw_name
    place.call(
        "mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db",
        f"--user={user}",
    )
    # A socket's path has 107 bytes at most: this one is relative to the data.
    # One statement a line.
    init = place.write("init.sql", f"ALTER USER root@localhost IDENTIFIED BY '{password}';\nCREATE DATABASE orders;\n")
    place.spawn(
        "mariadbd", "--no-defaults", f"--datadir={data}", "--bind-address=127.0.0.1", f"--port={port}", "--socket=mysqld.sock",
        f"--pid-file={place.data / 'pid'}", f"--user={user}", f"--init-file={init}", "--innodb-buffer-pool-size=16M",
        "--innodb-flush-log-at-trx-commit=0", "--innodb-use-native-aio=0", "--performance-schema=off",
    )
    place.wait_port(port)
    client = ["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", port, "-u", "root", "-e"]

    def ready():
        try:
            place.call(*client, "select 1", env={"MYSQL_PWD": password})
            return True
        except common.Failed:
            return False

    place.wait("log-in", ready)
    init.unlink()
    return {"address": f"127.0.0.1:{port}", "port": port, "admin": "root", "password": password, "database": "orders"}
