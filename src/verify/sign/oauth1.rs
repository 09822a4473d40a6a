//! OAuth 1.0a with HMAC-SHA-1: RFC 5849; for X: <https://docs.x.com/fundamentals/authentication/oauth-1-0a/creating-a-signature>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::parts::{Target, method, percent, set_header};
use super::{Unsigned, Values};
use crate::rules::ask::template::unquoted;
use crate::secret::random_hex;
use crate::verify::transport::Outgoing;

/// Signs with the header `authorization`; for requests without a body.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let nonce = random_hex::<16>().map_err(|_| Unsigned::Request("no random number can be had"))?;
    sign_once(values, request, now, &nonce)
}

/// The same with a number that is used once.
pub(super) fn sign_once(values: &Values, request: &mut Outgoing, now: i64, nonce: &str) -> Result<(), Unsigned> {
    if !request.body.is_empty() {
        return Err(Unsigned::Request("only requests without a body can be signed for OAuth 1.0a"));
    }
    let consumer_secret = Zeroizing::new(percent(values.need("consumer_secret")?));
    let token_secret = Zeroizing::new(percent(values.need("token_secret")?));
    let now = now.to_string();
    let own = [
        ("oauth_consumer_key", values.need("consumer_key")?),
        ("oauth_nonce", nonce),
        ("oauth_signature_method", "HMAC-SHA1"),
        ("oauth_timestamp", &now),
        ("oauth_token", values.need("token")?),
        ("oauth_version", "1.0"),
    ];
    let url = request.url.clone();
    let target = Target::of(&url)?;
    let again = |text: &str| percent(&unquoted(text));
    let given = target.sorted_query();
    let mut all: Vec<(String, String)> = given.iter().map(|(name, value)| (again(name), again(value))).collect();
    all.extend(own.iter().map(|(name, value)| (percent(name), percent(value))));
    all.sort();
    let all: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let scheme = url.split_once("://").map_or("https", |(scheme, _)| scheme);
    let address = format!("{scheme}://{}{}", target.host.to_ascii_lowercase(), target.path);
    let text = format!("{}&{}&{}", method(request.method), percent(&address), percent(&all.join("&")));
    let key = Zeroizing::new(format!("{}&{}", consumer_secret.as_str(), token_secret.as_str()));
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let mut told: Vec<String> = own.iter().map(|(name, value)| format!("{name}=\"{}\"", percent(value))).collect();
    told.push(format!("oauth_signature=\"{}\"", percent(&signature)));
    set_header(request, "authorization", format!("OAuth {}", told.join(", ")));
    Ok(())
}
