//! Coinbase Developer Platform: a JWT that is good for one request and two minutes:
//! <https://docs.cdp.coinbase.com/coinbase-app/authentication-authorization/api-key-authentication>.

use serde_json::json;

use super::key::PrivateKey;
use super::parts::{Target, method, set_header};
use super::{Unsigned, Values, token};
use crate::secret::random_hex;
use crate::verify::transport::Outgoing;

/// Seconds that a token is good for; Coinbase takes no longer ones.
const LIFE: i64 = 120;

/// Signs with the header `authorization`.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let name = values.need("name")?;
    let key = PrivateKey::read(values.need("key")?)?;
    let nonce = random_hex::<16>().map_err(|_| Unsigned::Request("no random number can be had"))?;
    let url = request.url.clone();
    let target = Target::of(&url)?;
    let mut head = token::head(&key);
    (head["kid"], head["nonce"]) = (name.into(), nonce.into());
    let uri = format!("{} {}{}", method(request.method), target.host, target.path);
    let claims = json!({ "sub": name, "iss": "cdp", "nbf": now, "exp": now + LIFE, "uri": uri });
    let token = token::sealed(&head, &claims, &key)?;
    set_header(request, "authorization", format!("Bearer {}", token.as_str()));
    Ok(())
}
