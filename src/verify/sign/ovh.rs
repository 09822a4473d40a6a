//! OVHcloud: `$1$` and the SHA-1 of both secrets, the request and the time, joined by `+`:
//! <https://help.ovhcloud.com/csm/en-api-getting-started-ovhcloud-api>.

use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::parts::{method, set_header};
use super::{Unsigned, Values};
use crate::secret::hex;
use crate::verify::transport::Outgoing;

/// Signs with the headers `x-ovh-application`, `x-ovh-consumer`, `x-ovh-timestamp` and `x-ovh-signature`.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let (key, secret, consumer) = (values.need("key")?, values.need("secret")?, values.need("consumer")?);
    let body =
        std::str::from_utf8(&request.body).map_err(|_| Unsigned::Request("the body of the request is no text"))?;
    let verb = method(request.method);
    let text = Zeroizing::new(format!("{secret}+{consumer}+{verb}+{}+{body}+{now}", request.url.as_str()));
    let signature = format!("$1${}", hex(&Sha1::digest(text.as_bytes())));
    set_header(request, "x-ovh-application", key.to_owned());
    set_header(request, "x-ovh-consumer", consumer.to_owned());
    set_header(request, "x-ovh-timestamp", now.to_string());
    set_header(request, "x-ovh-signature", signature);
    Ok(())
}
