"""Dovecot of Debian: IMAP that takes no password before STARTTLS, and IMAP over TLS. Its users stand in a file, read at each log-in."""

import grp
import os
import pwd
import shutil

import common

APT = ["dovecot-imapd", "openssl"]


def start(place):
    folder, user = place.unprivileged()
    port, tls_port = common.free_port(), common.free_port()
    # Tests write the host as an IPv6 address that holds 127.0.0.1.
    key, certificate = place.certificate("IP:::ffff:127.0.0.1")
    for path in (key, certificate):
        shutil.copy(path, folder)
    users = folder / "users"
    users.write_text("")
    if user:
        os.chown(folder / key.name, user.pw_uid, user.pw_gid)
        users.chmod(0o644)
    me = pwd.getpwuid(user.pw_uid if user else os.geteuid())
    configuration = folder / "dovecot.conf"
    # No root, so no change of user and no chroot.
    configuration.write_text(
        f"base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = /dev/stderr\nauth_verbose = yes\n"
        f"default_internal_user = {me.pw_name}\ndefault_login_user = {me.pw_name}\ndefault_internal_group = {grp.getgrgid(me.pw_gid).gr_name}\n"
        "protocols = imap\nlisten = 127.0.0.1\n"
        f"ssl = required\nssl_cert = <{folder}/tls.pem\nssl_key = <{folder}/tls.key\n"
        "auth_mechanisms = plain login\n"
        f"passdb {{\n  driver = passwd-file\n  args = scheme=PLAIN username_format=%u {users}\n}}\n"
        f"userdb {{\n  driver = static\n  args = uid={me.pw_uid} gid={me.pw_gid} home={folder}/mail/%u allow_all_users=yes\n}}\n"
        "mail_location = maildir:~/\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n"
        "service anvil {\n  chroot =\n}\nservice stats {\n  chroot =\n}\n"
        "service imap-login {\n  chroot =\n"
        f"  inet_listener imap {{\n    port = {port}\n  }}\n  inet_listener imaps {{\n    port = {tls_port}\n    ssl = yes\n  }}\n}}\n"
    )
    place.spawn("dovecot", "-F", "-c", configuration, cwd=folder, user=user)
    for number in (port, tls_port):
        place.wait_port(number)
    return {"port": port, "tls_port": tls_port, "users": str(users), "ca": str(certificate)}
