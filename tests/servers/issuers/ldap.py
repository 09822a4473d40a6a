"""OpenLDAP 2.5 of Debian with a password policy, an owner and a colleague. It offers no TLS; `ldaps` does."""

import common

APT = ["slapd", "ldap-utils"]
BASE = "dc=corp,dc=example"


def person(uid, name, surname, manager, department):
    boss = f"manager: uid={manager},ou=people,{BASE}\n" if manager else ""
    return (
        f"dn: uid={uid},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {name} {surname}\nsn: {surname}\n"
        f"givenName: {name}\nmail: {uid}@corp.example\ndepartmentNumber: {department}\n{boss}\n"
    )


def start(place, tls=False):
    port, password = common.free_port(), common.password()
    (place.data / "db").mkdir()
    hashed = place.call("slappasswd", "-n", "-s", password)
    lines, more, urls = "", {}, ""
    if tls:
        # For `ldaps://` and StartTLS; a test writes the name in another way.
        key, certificate, authority = place.certificate()
        lines = f"TLSCertificateFile {certificate}\nTLSCertificateKeyFile {key}\n"
        more = {"tls_url": f"ldaps://127.0.0.1:{common.free_port()}", "ca": str(authority)}
        urls = f" {more['tls_url']}"
    configuration = place.write(
        "slapd.conf",
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/inetorgperson.schema\n"
        "modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload ppolicy\n"
        f"{lines}"
        f"pidfile {place.data}/pid\nargsfile {place.data}/args\n"
        f"database mdb\nmaxsize 67108864\nsuffix {BASE}\nrootdn cn=admin,{BASE}\nrootpw {hashed}\ndirectory {place.data}/db\ndbnosync\n"
        "index objectClass,mail,uid eq\n"
        "access to attrs=userPassword by self write by anonymous auth by * none\naccess to * by users read by * none\n"
        f"overlay ppolicy\nppolicy_default cn=policy,{BASE}\nppolicy_use_lockout\n",
    )
    url = f"ldap://127.0.0.1:{port}"
    place.spawn("slapd", "-f", configuration, "-h", f"{url}{urls}", "-d", "none")
    place.wait_port(port)
    first = (
        f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\ndc: corp\no: Corp\n\n"
        f"dn: ou=people,{BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
        f"dn: cn=policy,{BASE}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: policy\npwdAttribute: userPassword\n"
        "pwdLockout: TRUE\npwdMaxFailure: 0\n\n"
    )
    people = person("carol", "Carol", "Chief", None, "Board") + person("alice", "Alice", "Archer", "carol", "Platform") + person("bob", "Bob", "Baker", "carol", "Shop")
    place.call("ldapadd", "-x", "-H", url, "-D", f"cn=admin,{BASE}", "-w", password, input=first + people)
    return {"url": url, "address": f"127.0.0.1:{port}", "port": port, "admin": f"cn=admin,{BASE}", "password": password, "base": BASE, **more}
