//! Oracle Cloud: <https://docs.oracle.com/iaas/Content/API/Concepts/signingrequests.htm>.
//!
//! Contract: for requests without a body (GET, HEAD, DELETE), which sign the date, the request line and the host.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::PrivateKey;
use super::parts::{Target, http_date, method, set_header};
use super::{Unsigned, Values};
use crate::verify::transport::Outgoing;

/// Signs with the headers `date` and `authorization`.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    if !request.body.is_empty() {
        return Err(Unsigned::Request("only requests without a body can be signed for Oracle Cloud"));
    }
    let (tenancy, user) = (values.need("tenancy")?, values.need("user")?);
    let key = PrivateKey::read(values.need("key")?)?;
    let fingerprint = match values.get("fingerprint") {
        "" => key.md5_fingerprint()?,
        given => given.to_owned(),
    };
    let url = request.url.clone();
    let target = Target::of(&url)?;
    let date = http_date(now)?;
    let query = if target.query.is_empty() { String::new() } else { format!("?{}", target.query) };
    let line = format!("{} {}{query}", method(request.method).to_lowercase(), target.path);
    let to_sign = format!("date: {date}\n(request-target): {line}\nhost: {}", target.host);
    let signature = STANDARD.encode(key.sign_rs256(to_sign.as_bytes())?);
    set_header(request, "date", date);
    let value = format!(
        "Signature version=\"1\",keyId=\"{tenancy}/{user}/{fingerprint}\",algorithm=\"rsa-sha256\",\
         headers=\"date (request-target) host\",signature=\"{signature}\""
    );
    set_header(request, "authorization", value);
    Ok(())
}
