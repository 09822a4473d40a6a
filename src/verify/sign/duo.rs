//! Duo Security: HMAC-SHA-512 over the date, the method, the host, the path and the parameters, with the integration key as the user
//! of Basic: <https://duo.com/docs/authapi#authentication>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;

use super::parts::{Target, date, method, percent, set_header};
use super::{Unsigned, Values};
use crate::rules::ask::template::unquoted;
use crate::secret::hex;
use crate::verify::transport::Outgoing;

/// Signs with the headers `date` and `authorization`; for requests without a body.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    if !request.body.is_empty() {
        return Err(Unsigned::Request("only requests without a body can be signed for Duo"));
    }
    let (key, secret) = (values.need("key")?, values.need("secret")?);
    let url = request.url.clone();
    let target = Target::of(&url)?;
    let date = date(now, "%a, %d %b %Y %H:%M:%S -0000")?;
    let again = |text: &str| percent(&unquoted(text));
    let mut query: Vec<_> = target.sorted_query().iter().map(|(n, v)| format!("{}={}", again(n), again(v))).collect();
    query.sort();
    let host = target.host.to_ascii_lowercase();
    let text = format!("{date}\n{}\n{host}\n{}\n{}", method(request.method), target.path, query.join("&"));
    let mut mac = Hmac::<Sha512>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    let signature = hex(&mac.finalize().into_bytes());
    set_header(request, "date", date);
    set_header(request, "authorization", format!("Basic {}", STANDARD.encode(format!("{key}:{signature}"))));
    Ok(())
}
