//! Tencent Cloud, version 3: <https://www.tencentcloud.com/document/product/598/32225>.
//!
//! Contract: POST with a JSON body; only `content-type` and `host` are signed.

use zeroize::Zeroizing;

use super::parts::{Target, date, hmac256, method, set_header, sha256_hex, signed_headers};
use super::{Unsigned, Values};
use crate::secret::hex;
use crate::verify::transport::Outgoing;

/// Signs with the headers `x-tc-*` and `authorization`.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let (key_id, secret, service) = (values.need("key_id")?, values.need("secret")?, values.need("service")?);
    let url = request.url.clone();
    let target = Target::of(&url)?;
    set_header(request, "x-tc-action", values.need("action")?.to_owned());
    set_header(request, "x-tc-version", values.need("version")?.to_owned());
    set_header(request, "x-tc-timestamp", now.to_string());
    let (headers, names) = signed_headers(request, target.host, |name| name == "content-type");
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{names}\n{}",
        method(request.method),
        target.path,
        target.canonical_query(),
        sha256_hex(&request.body)
    );
    let day = date(now, "%Y-%m-%d")?;
    let scope = format!("{day}/{service}/tc3_request");
    let to_sign = format!("TC3-HMAC-SHA256\n{now}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
    let start = Zeroizing::new(format!("TC3{secret}"));
    let dated = Zeroizing::new(hmac256(start.as_bytes(), day.as_bytes()));
    let served = Zeroizing::new(hmac256(&*dated, service.as_bytes()));
    let key = Zeroizing::new(hmac256(&*served, b"tc3_request"));
    let signature = hex(&hmac256(&*key, to_sign.as_bytes()));
    let value = format!("TC3-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}");
    set_header(request, "authorization", value);
    Ok(())
}
