//! Cuts a secret out of what an issuer says: some echo what they were sent.
//!
//! Contract: no 8 bytes in a row of the secret, as it is or in base64, hex or percent-encoding, remain in any text of a
//! [`Checked`] that the issuer said; of a shorter secret not the whole of it.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::model::{Checked, Principal, Validity};
use crate::rules::ask::template::percent;
use crate::secret::hex;

/// Bytes of a secret that may not stand in a row.
const WINDOW: usize = 8;
/// What stands in their place.
const CUT: &str = "(redacted)";

/// What may not be said of one secret.
struct Unsaid {
    windows: HashSet<Vec<u8>>,
    whole: Option<Vec<u8>>,
}

impl Unsaid {
    fn of(secret: &[u8]) -> Self {
        let mut forms: Vec<Vec<u8>> =
            vec![secret.to_vec(), hex(secret).into_bytes(), percent(secret, false).into_bytes()];
        // Base64 depends on where in a group of three bytes the secret begins; what neighbours have a part in is left out.
        for before in 0..3 {
            let shifted = [&vec![0; before][..], secret].concat();
            let text = STANDARD_NO_PAD.encode(shifted).into_bytes();
            let (from, to) = ([0, 2, 3][before], text.len().saturating_sub(1));
            let form = text.get(from..to).unwrap_or_default().to_vec();
            forms.push(
                form.iter()
                    .map(|b| match b {
                        b'+' => b'-',
                        b'/' => b'_',
                        b => *b,
                    })
                    .collect(),
            );
            forms.push(form);
        }
        let windows = forms.iter().flat_map(|form| form.windows(WINDOW).map(<[u8]>::to_vec)).collect();
        Self { windows, whole: (secret.len() < WINDOW && secret.len() > 3).then(|| secret.to_vec()) }
    }

    fn cut(&self, text: &mut String) {
        let bytes = text.as_bytes();
        let mut hidden = vec![false; bytes.len()];
        for (start, window) in bytes.windows(WINDOW).enumerate() {
            if self.windows.contains(window) {
                hidden[start..start + WINDOW].fill(true);
            }
        }
        if let Some(whole) = &self.whole {
            for (start, _) in bytes.windows(whole.len()).enumerate().filter(|(_, w)| w == whole) {
                hidden[start..start + whole.len()].fill(true);
            }
        }
        if !hidden.contains(&true) {
            return;
        }
        let mut out = Vec::with_capacity(bytes.len());
        for (i, byte) in bytes.iter().enumerate() {
            match hidden[i] {
                false => out.push(*byte),
                true if i == 0 || !hidden[i - 1] => out.extend_from_slice(CUT.as_bytes()),
                true => {}
            }
        }
        *text = String::from_utf8_lossy(&out).into_owned();
    }

    fn cut_all(&self, account: &mut Principal) {
        let Principal { kind, id, login, name, email, organisation, key_id, scopes, created, expires, last_used, more } =
            account;
        let fields = [kind, id, login, name, email, organisation, key_id, created, expires, last_used];
        fields.into_iter().flatten().chain(scopes).for_each(|text| self.cut(text));
        for (mut name, mut value) in std::mem::take(more) {
            self.cut(&mut name);
            self.cut(&mut value);
            more.insert(name, value);
        }
    }
}

/// Cuts a secret out of all that an issuer said of it.
pub fn cut(checked: &mut Checked, secret: &[u8]) {
    let unsaid = Unsaid::of(secret);
    if let Validity::Unknown(reason) = &mut checked.validity {
        unsaid.cut(reason);
    }
    checked.remark.iter_mut().for_each(|text| unsaid.cut(text));
    checked.principal.iter_mut().for_each(|account| unsaid.cut_all(account));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_remains() {
        let secret = b"s3cr3t/V\xc3\xa4lue+with=signs.0123456789";
        let base64 = |before: &str| {
            base64::engine::general_purpose::STANDARD.encode([before.as_bytes(), &secret[..], b"!"].concat())
        };
        let plain = String::from_utf8_lossy(secret).into_owned();
        let forms = [plain.clone(), hex(secret), percent(secret, false), base64(""), base64("u:"), base64("user:")];
        for form in forms {
            let account = Principal {
                login: Some(form.clone()),
                scopes: vec![format!("a {form} b")],
                more: [(form.clone(), form.clone())].into(),
                ..Principal::default()
            };
            let mut checked = Checked {
                validity: Validity::Unknown(form.clone()),
                remark: Some(form.clone()),
                principal: Some(account),
                ..Checked::default()
            };
            cut(&mut checked, secret);
            let text = format!("{checked:?}");
            assert!(text.contains(CUT));
            assert!(!form.as_bytes().windows(12).any(|w| text.as_bytes().windows(12).any(|t| t == w)), "{text}");
        }
        let mut short = Checked { remark: Some("bad password hunter2!".into()), ..Checked::default() };
        cut(&mut short, b"hunter2");
        assert_eq!(short.remark.as_deref(), Some("bad password (redacted)!"));
        let mut other = Checked { remark: Some("limited by IP address".into()), ..Checked::default() };
        cut(&mut other, secret);
        assert_eq!(other.remark.as_deref(), Some("limited by IP address"));
    }
}
