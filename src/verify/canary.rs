//! Credentials that are bait: whoever uses one raises an alarm at somebody who planted it.
//!
//! Contract: tells from the credential alone, before anything is sent. A yes is sure enough not to call; a no is no
//! promise: bait in an account of the planter's own looks like everything else.

/// AWS accounts in which canarytokens.org and Thinkst's other servers make their keys. Sources: key ids that users
/// published (<https://onappsec.com/tag/canary-token/>, decoded by [`aws_account`]), the ARN that a call with such a key
/// shows (<https://github.com/0xCardinal/covert-canary-detection/blob/main/tokens/aws_keys.md>), and the list of known
/// accounts in <https://github.com/praetorian-inc/aurelian> (known-account module).
const AWS_ACCOUNTS: [&str; 9] = [
    "052310077262",
    "171436882533",
    "266735846894",
    "534261010715",
    "595918472158",
    "717712589309",
    "730335385048",
    "819147034852",
    "992382622183",
];

/// Domains of canary services: names below them stand in bait URLs, kubeconfigs, MySQL dumps and user names
/// (<https://docs.canarytokens.org/guide/>, <https://canary.tools>).
const DOMAINS: [&str; 4] = ["canarytokens.com", "canarytokens.org", "canarytokens.net", "canary.tools"];

/// Why a credential is known to be bait; `None` if it is not known to be. `parts` are its values: the secret, and what
/// was found beside it.
pub fn known<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Option<String> {
    parts.into_iter().find_map(|part| {
        let account = std::str::from_utf8(part).ok().and_then(aws_account);
        if let Some(account) = account.filter(|a| AWS_ACCOUNTS.contains(&a.as_str())) {
            return Some(format!("a canary: AWS account {account} is one of canarytokens.org"));
        }
        let part = part.to_ascii_lowercase();
        DOMAINS.iter().find(|d| names(&part, d)).map(|domain| format!("a canary: it names {domain}"))
    })
}

/// Whether a text names this domain or one below it, as a whole.
fn names(text: &[u8], domain: &str) -> bool {
    let domain = domain.as_bytes();
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (0..text.len().saturating_sub(domain.len() - 1)).any(|at| {
        let end = at + domain.len();
        text[at..end] == *domain
            && !at.checked_sub(1).is_some_and(|before| inner(text[before]))
            && !text.get(end).is_some_and(|after| inner(*after))
    })
}

/// The account in an access key id: the first six bytes of the base32 behind the prefix hold it. Right for keys that were
/// made since 2019; older ids give a number that is none
/// (<https://medium.com/@TalBeerySec/a-short-note-on-aws-key-id-f88cc4317489>).
pub fn aws_account(id: &str) -> Option<String> {
    let body = ["AKIA", "ASIA"].iter().find_map(|prefix| id.strip_prefix(prefix))?;
    if body.len() != 16 {
        return None;
    }
    let mut bits: u64 = 0;
    for (number, byte) in body.bytes().enumerate() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        // Ten digits of five bits hold six bytes.
        if number < 10 {
            bits = bits << 5 | u64::from(digit);
        }
    }
    Some(format!("{:012}", (bits >> 2 & 0x7fff_ffff_ff80) >> 7))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An id of this account: its inverse.
    fn id_of(prefix: &str, account: u64) -> String {
        let bits = (account << 7 | 1 << 47) << 2;
        let digit = |n: u32| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[(bits >> (45 - 5 * n) & 31) as usize]);
        format!("{prefix}{}{}", (0..10).map(digit).collect::<String>(), "ABCDEF")
    }

    #[test]
    fn accounts_of_key_ids() {
        // Published in the write-up that found the encoding; the last six digits do not matter.
        let published = ["ASIA", "QNZGKIQY56", "JQ7WML"].concat();
        assert_eq!(aws_account(&published).as_deref(), Some("029608264753"));
        assert_eq!(aws_account(&id_of("AKIA", 595_918_472_158)).as_deref(), Some("595918472158"));
        let long = format!("{published}A");
        for none in ["", "AKIA", "AIDAQNZGKIQY56JQ7WML", &published[..19], long.as_str(), &published.to_lowercase()] {
            assert_eq!(aws_account(none), None, "{none}");
        }
        assert_eq!(aws_account(&["AKIA", "0000000000000000"].concat()), None);
    }

    #[test]
    fn bait_is_told() {
        let told = |part: &str| known([part.as_bytes()]).is_some();
        assert!(told(&id_of("AKIA", 52_310_077_262)));
        assert!(told(&id_of("ASIA", 992_382_622_183)));
        assert!(!told(&id_of("AKIA", 123_456_789_012)));
        assert!(told("abc.canarytokens.com"));
        assert!(told("https://x.CanaryTokens.org:443/k"));
        assert!(told("canarytokens.com@@abc"));
        assert!(told("8f3c.o3n.canary.tools"));
        for other in ["notcanarytokens.com", "canarytokens.community", "canary.toolshed.io", "canarytokens", ""] {
            assert!(!told(other), "{other}");
        }
        assert!(known([&b"x"[..], b"y.canarytokens.net"]).is_some());
    }
}
