//! Exoscale: HMAC-SHA-256 over the method and path, the body, the values of the query and the end:
//! <https://openapi-v2.exoscale.com/topic/topic-api-request-signature>.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::parts::{Target, hmac256, method, set_header};
use super::{Unsigned, Values};
use crate::rules::ask::template::unquoted;
use crate::verify::transport::Outgoing;

/// Seconds that a signature is good for.
const LIFE: i64 = 120;

/// Signs with the header `authorization`.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let (key, secret) = (values.need("key")?, values.need("secret")?);
    let url = request.url.clone();
    let target = Target::of(&url)?;
    let body =
        std::str::from_utf8(&request.body).map_err(|_| Unsigned::Request("the body of the request is no text"))?;
    let query = target.sorted_query();
    let given: String = query.iter().map(|(_, value)| unquoted(value)).collect();
    let names: Vec<String> = query.iter().map(|(name, _)| unquoted(name)).collect();
    let ends = now + LIFE;
    let text = Zeroizing::new(format!("{} {}\n{body}\n{given}\n\n{ends}", method(request.method), target.path));
    let signature = STANDARD.encode(hmac256(secret.as_bytes(), text.as_bytes()));
    let arguments = if names.is_empty() { String::new() } else { format!("signed-query-args={},", names.join(";")) };
    let value = format!("EXO2-HMAC-SHA256 credential={key},{arguments}expires={ends},signature={signature}");
    set_header(request, "authorization", value);
    Ok(())
}
