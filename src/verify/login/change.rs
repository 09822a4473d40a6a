//! What an administrator's log-in does to another account.
//!
//! Contract: looks first, then changes one account that exists, and no other: never the one that is logged in, never an
//! administrator of the server. Names reach a server as hex, as length and bytes, or quoted by [`backticks`]: no name
//! becomes a part of a command. Once the change is sent, only the server's own reply says what happened: without one it is
//! [`Trouble::Perhaps`].

use zeroize::Zeroizing;

use super::{Told, Trouble, unclear};
use crate::rules::schema::ask::{Change, Protocol};
use crate::verify::transport::LogIn;

/// What a request wants changed, or why that cannot be.
pub(super) fn wanted(protocol: Protocol, request: &LogIn) -> Result<Option<(Change, Zeroizing<String>)>, String> {
    let Some(change) = request.change else { return Ok(None) };
    if !matches!(protocol, Protocol::Postgres | Protocol::Mysql | Protocol::Redis | Protocol::Ldap) {
        return Err("accounts of this server are not changed by a log-in: lock it by hand".into());
    }
    let mut account = request.value("account");
    if account.is_empty() {
        match protocol {
            Protocol::Redis => account = "default",
            _ => return Err("it is not known which account the credential is of".into()),
        }
    }
    if account.chars().any(char::is_control) {
        return Err("the account's name holds a control character".into());
    }
    Ok(Some((change, Zeroizing::new(account.to_owned()))))
}

/// The account that is logged in is never changed.
pub(super) fn own<T>() -> Told<T> {
    unclear("this is the administrator's own account: nothing was changed")
}

/// An administrator of the server is never locked by a program.
pub(super) fn administrator<T>() -> Told<T> {
    unclear("this account is an administrator of its server: nothing was changed, lock it by hand")
}

/// There is nothing to change.
pub(super) fn gone<T>() -> Told<T> {
    Err(Trouble::Gone("there is no such account".into()))
}

/// The change was sent: a connection that ends now leaves it open.
pub(super) fn sent<T>(told: Told<T>) -> Told<T> {
    told.map_err(|trouble| match trouble {
        Trouble::Failed(failure) => Trouble::Perhaps(format!("the change was sent, then: {failure}")),
        Trouble::Unclear(reason) => Trouble::Perhaps(format!("the change was sent, then: {reason}")),
        other => other,
    })
}

/// A name between backticks, as MySQL and MariaDB read it in every mode: a backslash is a plain character there.
pub(super) fn backticks(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::backticks;

    /// Reads a quoted name as the server does: what it names, and what stands behind it.
    fn read(text: &str) -> Option<(String, &str)> {
        let (mut name, mut rest) = (String::new(), text.strip_prefix('`')?);
        loop {
            let end = rest.find('`')?;
            name.push_str(&rest[..end]);
            rest = &rest[end + 1..];
            match rest.strip_prefix('`') {
                Some(more) => rest = more,
                None => return Some((name, rest)),
            }
            name.push('`');
        }
    }

    proptest! {
        #[test]
        fn no_name_leaves_its_quotes(name in "[`'\"\\\\; a-z@%\u{e9}\u{4e2d}-]{0,40}", behind in "[^`]{0,20}") {
            let quoted = format!("{}{behind}", backticks(&name));
            prop_assert_eq!(read(&quoted), Some((name, behind.as_str())));
        }
    }
}
