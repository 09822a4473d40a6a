"""What the servers share: where things lie, installing, starting, waiting, stopping.

Contract: everything is kept below one folder (target/servers), except system packages and, when run as root, the data
of servers that refuse root. A server listens on loopback only, or it is stopped and the start fails. Processes are
ended by the id that was recorded when they were started, and only if they are still those processes.
"""

import base64
import fcntl
import json
import os
import pathlib
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
HOME = pathlib.Path(os.environ.get("UNSPRAWL_TEST_SERVERS_DIR") or HERE.parent.parent / "target" / "servers").resolve()
INSTALLED, RUN, LOG = HOME / "installed", HOME / "run", HOME / "log"
# Slow machines compile at the same time: these are bounds, not expectations.
READY_SECONDS = 240
STOP_SECONDS = 20


class Failed(Exception):
    """A server could not be installed or started; the text says why and where the log is."""


def password():
    """A random value that no noise filter takes for a word, safe in a URL."""
    return secrets.token_urlsafe(18).replace("-", "x").replace("_", "y")


# ---------------------------------------------------------------------------------------------------- installing


def attempts(what, command, log, tries=3, **options):
    """Runs a command that needs the network, again after a fault."""
    LOG.mkdir(parents=True, exist_ok=True)
    for number in range(1, tries + 1):
        with open(LOG / log, "ab") as out:
            out.write(f"$ {' '.join(map(str, command))}\n".encode())
            out.flush()
            try:
                if subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, timeout=900, **options).returncode == 0:
                    return
            except subprocess.TimeoutExpired:
                out.write(b"timed out\n")
        time.sleep(5 * number)
    raise Failed(f"{what} could not be installed ({tries} attempts); see {LOG / log}\n{tail(LOG / log)}")


def apt(packages):
    """Installs the system packages that are missing, without letting their services start now or at the next boot."""
    def missing():
        asked = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages], capture_output=True, text=True)
        have = {line.split()[0] for line in asked.stdout.splitlines() if line.endswith(" installed")}
        return [name for name in packages if name not in have]

    absent = missing()
    if not absent:
        return
    if not shutil.which("apt-get"):
        raise Failed(f"these are needed, and there is no apt-get to install them: {' '.join(absent)}")
    root = [] if os.geteuid() == 0 else ["sudo"]
    policy = "/usr/sbin/policy-rc.d"
    guarded = not os.path.exists(policy)
    if guarded:
        subprocess.run([*root, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{policy} && chmod 755 {policy}"], check=True)
    try:
        attempts("The package lists", [*root, "apt-get", "update", "-q"], "apt.log")
        environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
        attempts("System packages", [*root, *environment, "apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-q", "-y", "--no-install-recommends", *absent], "apt.log")
    finally:
        if guarded:
            subprocess.run([*root, "rm", "-f", policy], check=False)
    if os.path.isdir("/run/systemd/system"):
        units = {"postgresql-15": "postgresql", "erlang-base": "epmd.socket", "rabbitmq-server": "rabbitmq-server epmd.socket", "dovecot-imapd": "dovecot.service dovecot.socket"}
        for name in absent:
            subprocess.run([*root, "systemctl", "disable", "--quiet", *units.get(name, name).split()], stderr=subprocess.DEVNULL, check=False)
    if missing():
        raise Failed(f"still missing after apt-get install: {' '.join(missing())}")


def unchanged(folder, wanted):
    """Whether a folder was completely installed from just these files."""
    mark = folder / "installed-from"
    return mark.is_file() and mark.read_text() == wanted


def python(name):
    """A virtual environment with exactly the packages of python/NAME.txt."""
    venv, pins = INSTALLED / "python" / name, HERE / "python" / f"{name}.txt"
    if unchanged(venv, pins.read_text()):
        return
    shutil.rmtree(venv, ignore_errors=True)
    attempts(f"A Python environment for {name}", ["python3", "-m", "venv", venv], f"{name}-install.log", tries=1)
    pip = [venv / "bin" / "pip", "--disable-pip-version-check", "install", "--no-input", "--no-deps", "--timeout=30", "--retries=5"]
    attempts(f"The Python packages of {name}", [*pip, "-r", pins], f"{name}-install.log")
    (venv / "installed-from").write_text(pins.read_text())


def node(name):
    """node_modules with exactly the packages of node/NAME/package-lock.json; no install script runs."""
    folder, source = INSTALLED / "node" / name, HERE / "node" / name
    wanted = (source / "package-lock.json").read_text()
    if unchanged(folder, wanted):
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    npm = ["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-timeout=60000", "--fetch-retries=5"]
    attempts(f"The Node packages of {name}", npm, f"{name}-install.log", cwd=folder)
    (folder / "installed-from").write_text(wanted)


def tail(path, lines=25):
    """The end of a log."""
    try:
        return "\n".join(pathlib.Path(path).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


# ------------------------------------------------------------------------------------------------------ processes


def born(pid):
    """When a process was started, in the kernel's ticks; None if there is none (or only its corpse)."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def session(leader):
    """The processes of a session that we began, by id."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry))
    return found


def listening(pids):
    """The addresses on which processes accept connections, as (address, port)."""
    inodes = set()
    for pid in pids:
        try:
            for link in os.scandir(f"/proc/{pid}/fd"):
                target = os.readlink(link.path)
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
        except OSError:
            continue
    found = set()
    for table, family, size in (("tcp", socket.AF_INET, 4), ("tcp6", socket.AF_INET6, 16)):
        try:
            rows = pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in (row.split() for row in rows):
            if fields[3] == "0A" and fields[9] in inodes:
                address, port = fields[1].split(":")
                words = bytes.fromhex(address)
                # The kernel prints each 32-bit word in the machine's own order.
                words = b"".join(words[i : i + 4][::-1] for i in range(0, size, 4))
                found.add((socket.inet_ntop(family, words), int(port, 16)))
    return found


def end(process):
    """Ends one recorded process and what it started; says nothing if it is gone already."""
    pid = process["pid"]
    if born(pid) == process["born"]:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
    elif not (process["session"] and session(pid)):
        return
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and (born(pid) == process["born"] or session(pid)):
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
        if born(pid) is None:
            for left in session(pid):
                os.kill(left, signal.SIGTERM)
        time.sleep(0.05)
    for left in session(pid):
        try:
            os.kill(left, signal.SIGKILL)
        except ProcessLookupError:
            pass


_given = set()


def free_port():
    """A port that nobody uses now, below those that the kernel gives to clients."""
    while True:
        port = random.randint(15000, 31000)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port


# --------------------------------------------------------------------------------------------------------- places


class Place:
    """One server's folder, log and processes while it is started."""

    def __init__(self, name):
        self.name, self.processes, self.folders = name, [], []
        self.data = RUN / name
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(parents=True)
        LOG.mkdir(parents=True, exist_ok=True)
        self.log = LOG / f"{name}.log"
        self.log.write_bytes(b"")

    def write(self, name, text):
        path = self.data / name
        path.write_text(text)
        return path

    def python(self, program="python"):
        return INSTALLED / "python" / self.name / "bin" / program

    def modules(self):
        return INSTALLED / "node" / self.name / "node_modules"

    def unprivileged(self):
        """(folder, user) for a server that refuses to run as root: outside of what only root may enter."""
        if os.geteuid() != 0:
            return self.data, None
        user = pwd.getpwnam("postgres" if self.name.startswith("postgres") else "nobody")
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"unsprawl-{self.name}-"))
        os.chown(folder, user.pw_uid, user.pw_gid)
        self.folders.append(str(folder))
        return folder, user

    def certificate(self, folder=None, user=None):
        """(key, certificate, authority): a certificate of loopback in `folder`, from an authority that only those trust who are told to."""
        folder, ca_key, authority = folder or self.data, self.data / "ca.key", self.data / "ca.pem"
        key, certificate = folder / "tls.key", folder / "tls.pem"
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-addext"]
        self.call(*make, "basicConstraints=critical,CA:TRUE", "-subj", f"/CN=Authority of {self.name}", "-keyout", ca_key, "-out", authority)
        # Tests also write the host as an IPv6 address that holds 127.0.0.1.
        own = ["-addext", "subjectAltName=IP:127.0.0.1,IP:::ffff:127.0.0.1,DNS:localhost", "-CA", authority, "-CAkey", ca_key]
        self.call(*make, "basicConstraints=critical,CA:FALSE", *own, "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", certificate)
        if user:
            os.chown(key, user.pw_uid, user.pw_gid)
            certificate.chmod(0o644)
        return key, certificate, authority

    def environment(self, extra=None):
        """Nobody's configuration has a say: a home of its own, the path, and what is given."""
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin", "HOME": str(self.data), "LANG": "C.UTF-8", **(extra or {})}

    def _options(self, env, cwd, user):
        options = {"env": self.environment(env), "cwd": cwd or self.data, "stdin": subprocess.DEVNULL}
        return options | ({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {})

    def call(self, *command, env=None, cwd=None, user=None, input=None):
        """Runs a command to its end; its output goes to the log and is returned."""
        options = self._options(env, cwd, user)
        if input is not None:
            options.pop("stdin")
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, input=input, timeout=READY_SECONDS, **options)
        with open(self.log, "a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode != 0:
            raise Failed(f"{self.name}: {command[0]} ended with {done.returncode}; see {self.log}\n{tail(self.log)}")
        return done.stdout

    def spawn(self, *command, env=None, cwd=None, user=None, executable=None):
        """Starts a process in a session of its own and records it at once."""
        with open(self.log, "ab") as log:
            child = subprocess.Popen(
                [str(c) for c in command], stdout=log, stderr=log, start_new_session=True, executable=executable, **self._options(env, cwd, user)
            )
        self.processes.append({"pid": child.pid, "born": born(child.pid), "session": True})
        self.record({}, ready=False)
        return child

    def record(self, facts, ready=True):
        """Writes what `stop` needs, and once the server is ready what tests need."""
        record = {"name": self.name, "ready": ready, "processes": self.processes, "folders": self.folders, **facts}
        path = RUN / f"{self.name}.json"
        partial = path.with_suffix(".new")
        partial.write_text(json.dumps(record, indent=2) + "\n")
        partial.chmod(0o600)
        partial.rename(path)

    def alive(self):
        for process in self.processes:
            try:
                os.waitpid(process["pid"], os.WNOHANG)
            except ChildProcessError:
                pass
            if born(process["pid"]) != process["born"]:
                raise Failed(f"{self.name} ended while it was started; see {self.log}\n{tail(self.log)}")

    def wait(self, what, check):
        """Waits until `check()` gives something true; faults of connections mean not yet."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self.alive()
            try:
                if answer := check():
                    return answer
            except (OSError, urllib.error.URLError):
                pass
            time.sleep(0.3)
        raise Failed(f"{self.name}: no {what} within {READY_SECONDS} s; see {self.log}\n{tail(self.log)}")

    def wait_http(self, url, statuses=(200,)):
        self.wait(f"answer at {url}", lambda: http("GET", url)[0] in statuses)

    def wait_port(self, port, host="127.0.0.1"):
        def connects():
            with socket.create_connection((host, port), 2):
                return True

        self.wait(f"listener on {host}:{port}", connects)

    def loopback_only(self):
        """Refuses a server that anybody else could reach."""
        pids = [pid for process in self.processes for pid in session(process["pid"])]
        addresses = listening(pids)
        outside = sorted(f"{a}:{p}" for a, p in addresses if not (a.startswith("127.") or a == "::1"))
        if outside:
            raise Failed(f"{self.name} listens on {', '.join(outside)}: only loopback is allowed")
        if not addresses:
            raise Failed(f"{self.name} listens nowhere; see {self.log}")


def http(method, url, json_body=None, headers=None, basic=None, text=None):
    """(status, parsed JSON or text) of one request, with no proxy; 4xx and 5xx are answers, too."""
    headers = dict(headers or {})
    body = text.encode() if text is not None else None
    if json_body is not None:
        body, headers["content-type"] = json.dumps(json_body).encode(), headers.get("content-type", "application/json")
    if basic:
        headers["authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as reply:
            status, content = reply.status, reply.read()
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, content.decode(errors="replace")


def must(answer, *statuses):
    """The body of an answer that has one of these statuses."""
    status, body = answer
    if status not in statuses:
        raise Failed(f"unexpected answer {status}: {str(body)[:300]}")
    return body


class Lock:
    """One driver at a time in one folder."""

    def __enter__(self):
        HOME.mkdir(parents=True, exist_ok=True)
        self.file = open(HOME / "lock", "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()
