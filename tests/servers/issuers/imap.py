"""Dovecot 2.3 of Debian: IMAP that takes no password before STARTTLS, and IMAP over TLS. Its users stand in a file that tests write.

For Dovecot a client with the server's own address needs no TLS. Clients come from 127.0.0.1, so the listener with STARTTLS has another
address of loopback: who is not encrypted there is told LOGINDISABLED. A second Dovecot with the same users
and certificate has no mechanism but LOGIN.
"""

import grp
import os
import pwd

import common

APT = ["dovecot-imapd", "openssl"]


def configuration(folder, me, mechanisms, listeners):
    """No root, so no change of user and no chroot. Wrong passwords are answered at once: to Dovecot all tests are one stranger."""
    group = grp.getgrgid(me.pw_gid).gr_name
    return (
        f"base_dir = {folder}/run-{mechanisms[0]}\nstate_dir = {folder}/state-{mechanisms[0]}\nlog_path = /dev/stderr\nauth_verbose = yes\n"
        f"default_internal_user = {me.pw_name}\ndefault_login_user = {me.pw_name}\ndefault_internal_group = {group}\n"
        f"protocols = imap\nssl = required\nssl_cert = <{folder}/tls.pem\nssl_key = <{folder}/tls.key\n"
        f"auth_mechanisms = {' '.join(mechanisms)}\nauth_failure_delay = 0\n"
        f"passdb {{\n  driver = passwd-file\n  args = scheme=PLAIN username_format=%u {folder}/users\n}}\n"
        f"userdb {{\n  driver = static\n  args = uid={me.pw_uid} gid={me.pw_gid} home={folder}/mail/%u allow_all_users=yes\n}}\n"
        "mail_location = maildir:~/\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n"
        "service anvil {\n  chroot =\n  unix_listener anvil-auth-penalty {\n    mode = 0\n  }\n}\nservice stats {\n  chroot =\n}\n"
        f"service imap-login {{\n  chroot =\n{listeners}}}\n"
    )


def listener(name, address, port, ssl):
    return f"  inet_listener {name} {{\n    address = {address}\n    port = {port}\n    ssl = {ssl}\n  }}\n"


def start(place):
    version = place.call("dovecot", "--version")
    if not version.startswith("2.3."):
        raise common.Failed(f"Dovecot 2.3 is needed (its configuration is not that of 2.4), and this is {version}")
    folder, user = place.unprivileged()
    _, _, authority = place.certificate(folder, user)
    users = folder / "users"
    users.write_text("")
    users.chmod(0o644)
    me = pwd.getpwuid(user.pw_uid if user else os.geteuid())
    port, tls_port, login_port = common.free_port(), common.free_port(), common.free_port()
    both = listener("imap", "127.0.0.2", port, "no") + listener("imaps", "127.0.0.1", tls_port, "yes")
    # Without this one Dovecot listens at 143.
    login = listener("imap", "127.0.0.1", 0, "no") + listener("imaps", "127.0.0.1", login_port, "yes")
    for mechanisms, listeners in ((["plain", "login"], both), (["login"], login)):
        path = folder / f"{mechanisms[0]}.conf"
        path.write_text(configuration(folder, me, mechanisms, listeners))
        path.chmod(0o644)
        place.spawn("dovecot", "-F", "-c", path, cwd=folder, user=user)
    place.wait_port(port, "127.0.0.2")
    place.wait_port(tls_port)
    place.wait_port(login_port)
    return {
        "address": f"127.0.0.2:{port}", "tls_address": f"127.0.0.1:{tls_port}", "login_address": f"127.0.0.1:{login_port}",
        "users": str(users), "ca": str(authority),
    }
