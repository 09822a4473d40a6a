//! OVHcloud: <https://help.ovhcloud.com/csm/en-api-getting-started-ovhcloud-api>.
//!
//! Contract: the time is ours, not asked of `/auth/time`; a clock that is wrong by minutes is refused by the issuer and says so.

use zeroize::Zeroizing;

use super::parts::{method, set_header, sha1_hex};
use super::{Unsigned, Values};
use crate::verify::transport::Outgoing;

/// Signs with the headers `x-ovh-*`.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let (application, secret) = (values.need("application")?, values.need("secret")?);
    let consumer = values.need("consumer")?;
    let mut text = Zeroizing::new(
        format!("{secret}+{consumer}+{}+{}+", method(request.method), request.url.as_str()).into_bytes(),
    );
    text.extend_from_slice(&request.body);
    text.extend_from_slice(format!("+{now}").as_bytes());
    let signature = format!("$1${}", sha1_hex(&text));
    set_header(request, "x-ovh-application", application.to_owned());
    set_header(request, "x-ovh-consumer", consumer.to_owned());
    set_header(request, "x-ovh-timestamp", now.to_string());
    set_header(request, "x-ovh-signature", signature);
    Ok(())
}
