//! Alibaba Cloud, version 3: <https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature>.
//!
//! Contract: RPC style: the action stands in a header, parameters in the query; nothing in the body.

use zeroize::Zeroizing;

use super::parts::{Target, date, hmac256, method, set_header, sha256_hex, signed_headers};
use super::{Unsigned, Values};
use crate::secret::hex;
use crate::verify::transport::Outgoing;

/// Signs with the headers `x-acs-*` and `authorization`.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let key_id = values.need("key_id")?;
    let secret = values.need("secret")?;
    let url = request.url.clone();
    let target = Target::of(&url)?;
    let hash = sha256_hex(&request.body);
    set_header(request, "x-acs-action", values.need("action")?.to_owned());
    set_header(request, "x-acs-version", values.need("version")?.to_owned());
    set_header(request, "x-acs-content-sha256", hash.clone());
    set_header(request, "x-acs-date", date(now, "%Y-%m-%dT%H:%M:%SZ")?);
    // It must be new for each request of a key within a quarter of an hour; the same request in the same second is the same.
    if !request.headers.iter().any(|(name, _)| name == "x-acs-signature-nonce") {
        let nonce = hex(&hmac256(secret.as_bytes(), format!("{now} {} {hash}", url.as_str()).as_bytes())[..16]);
        set_header(request, "x-acs-signature-nonce", nonce);
    }
    if !values.get("session").is_empty() {
        set_header(request, "x-acs-security-token", values.get("session").to_owned());
    }
    let (headers, names) =
        signed_headers(request, target.host, |name| name == "content-type" || name.starts_with("x-acs-"));
    let canonical = Zeroizing::new(format!(
        "{}\n{}\n{}\n{headers}\n{names}\n{hash}",
        method(request.method),
        target.path,
        target.canonical_query(),
    ));
    let to_sign = format!("ACS3-HMAC-SHA256\n{}", sha256_hex(canonical.as_bytes()));
    let signature = hex(&hmac256(secret.as_bytes(), to_sign.as_bytes()));
    let value = format!("ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={signature}");
    set_header(request, "authorization", value);
    Ok(())
}
