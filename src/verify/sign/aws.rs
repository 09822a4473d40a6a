//! AWS Signature Version 4: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.
//!
//! Contract: as for every service but S3: the path is encoded twice.

use zeroize::Zeroizing;

use super::parts::{Target, date, hmac256, method, set_header, sha256_hex, signed_headers};
use super::{Unsigned, Values};
use crate::secret::hex;
use crate::verify::transport::Outgoing;

/// Signs with the headers `x-amz-date`, `x-amz-security-token` and `authorization`.
pub fn sign(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let (key_id, secret, service) = (values.need("key_id")?, values.need("secret")?, values.need("service")?);
    let url = request.url.clone();
    let target = Target::of(&url)?;
    let region = match values.get("region") {
        "" => region_of(target.name()),
        region => region,
    };
    let time = date(now, "%Y%m%dT%H%M%SZ")?;
    set_header(request, "x-amz-date", time.clone());
    if !values.get("session").is_empty() {
        set_header(request, "x-amz-security-token", values.get("session").to_owned());
    }
    let (headers, names) =
        signed_headers(request, target.host, |name| name == "content-type" || name.starts_with("x-amz-"));
    let canonical = Zeroizing::new(format!(
        "{}\n{}\n{}\n{headers}\n{names}\n{}",
        method(request.method),
        target.path.replace('%', "%25"),
        target.canonical_query(),
        sha256_hex(&request.body)
    ));
    let day = &time[..8];
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256_hex(canonical.as_bytes()));
    let key = derive(secret, &[day, region, service, "aws4_request"]);
    let signature = hex(&hmac256(&*key, to_sign.as_bytes()));
    let value = format!("AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}");
    set_header(request, "authorization", value);
    Ok(())
}

/// The signing key: HMAC over HMAC, from the secret.
fn derive(secret: &str, over: &[&str]) -> Zeroizing<[u8; 32]> {
    let start = Zeroizing::new(format!("AWS4{secret}"));
    let mut key: Option<Zeroizing<[u8; 32]>> = None;
    for text in over {
        let next = hmac256(key.as_ref().map_or(start.as_bytes(), |k| &k[..]), text.as_bytes());
        key = Some(Zeroizing::new(next));
    }
    key.unwrap_or_default()
}

/// The region in `sts.eu-west-1.amazonaws.com`; for global names that of the partition's signatures:
/// <https://docs.aws.amazon.com/general/latest/gr/sts.html>, <https://docs.aws.amazon.com/general/latest/gr/iam-service.html>.
fn region_of(host: &str) -> &str {
    match host {
        "iam.us-gov.amazonaws.com" => return "us-gov-west-1",
        "iam.cn-north-1.amazonaws.com.cn" => return "cn-north-1",
        _ => {}
    }
    let Some(name) = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn")) else {
        return "us-east-1";
    };
    match name.rsplit_once('.') {
        Some((_, region)) if region.bytes().filter(|b| *b == b'-').count() >= 2 => region,
        _ => "us-east-1",
    }
}

#[cfg(test)]
mod tests {
    use super::region_of;

    #[test]
    fn regions_of_hosts() {
        assert_eq!(region_of("sts.amazonaws.com"), "us-east-1");
        assert_eq!(region_of("iam.amazonaws.com"), "us-east-1");
        assert_eq!(region_of("sts.us-gov-west-1.amazonaws.com"), "us-gov-west-1");
        assert_eq!(region_of("iam.us-gov.amazonaws.com"), "us-gov-west-1");
        assert_eq!(region_of("sts.cn-north-1.amazonaws.com.cn"), "cn-north-1");
        assert_eq!(region_of("127.0.0.1"), "us-east-1");
    }
}
