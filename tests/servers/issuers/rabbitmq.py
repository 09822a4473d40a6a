"""RabbitMQ 3.10 of Debian with its management API. Two processes: the node, and Erlang's port mapper (epmd)."""

import common

APT = ["rabbitmq-server"]


def start(place):
    amqp, management, distribution, mapper = (common.free_port() for _ in range(4))
    password = common.password()
    place.write(
        "rabbitmq.conf",
        f"listeners.tcp.1 = 127.0.0.1:{amqp}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management}\n"
        f"default_user = root\ndefault_pass = {password}\nlog.console = true\nlog.file = false\n",
    )
    place.write("plugins", "[rabbitmq_management].\n")
    loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
    env = {
        "RABBITMQ_CONFIG_FILE": str(place.data / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(place.data / "none"),
        "RABBITMQ_MNESIA_BASE": str(place.data / "mnesia"),
        "RABBITMQ_LOG_BASE": str(place.data / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(place.data / "plugins"),
        "RABBITMQ_NODENAME": "unsprawl@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": loopback,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
    }
    place.spawn("epmd", "-address", "127.0.0.1", "-port", str(mapper), env={"ERL_EPMD_ADDRESS": "127.0.0.1"})
    place.wait_port(mapper)
    place.spawn("/usr/lib/rabbitmq/bin/rabbitmq-server", env=env)
    url = f"http://127.0.0.1:{management}"
    place.wait("log-in at the management API", lambda: common.http("GET", f"{url}/api/whoami", basic=("root", password))[0] == 200)
    place.wait_port(amqp)
    return {"url": url, "address": f"127.0.0.1:{amqp}", "amqp_port": amqp, "management_port": management, "admin": "root", "password": password}
