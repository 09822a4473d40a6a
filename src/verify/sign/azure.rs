//! Azure: Shared Key of storage accounts, master keys of Cosmos DB, shared access signatures of Service Bus and its kin.
//!
//! Contract: each as its page says:
//! <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>,
//! <https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources>,
//! <https://learn.microsoft.com/rest/api/eventhub/generate-sas-token>.

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use zeroize::Zeroizing;

use super::parts::{Target, header, hmac256, http_date, method, percent, set_header};
use super::{Unsigned, Values};
use crate::rules::ask::template::unquoted;
use crate::verify::transport::Outgoing;

/// Version of the storage services that is asked for, unless the request names one.
const STORAGE_VERSION: &str = "2021-08-06";

/// Seconds that a shared access signature holds.
const SAS_LIFE: i64 = 300;

/// Blob, queue and file services, Shared Key.
pub fn shared_key(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let (account, key) = (values.need("account")?, decoded(values.need("key")?)?);
    let url = request.url.clone();
    let target = Target::of(&url)?;
    set_header(request, "x-ms-date", http_date(now)?);
    if header(request, "x-ms-version").is_empty() {
        set_header(request, "x-ms-version", STORAGE_VERSION.to_owned());
    }
    let mut own: Vec<String> = request
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-ms-"))
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    own.sort_unstable();
    let mut resource = format!("/{account}{}", target.path);
    for (name, value) in target.sorted_query() {
        resource.push_str(&format!("\n{}:{}", unquoted(name).to_lowercase(), unquoted(value)));
    }
    let length = if request.body.is_empty() { String::new() } else { request.body.len().to_string() };
    // Standard headers in their fixed order; Date stays empty where x-ms-date is given.
    let to_sign = Zeroizing::new(format!(
        "{}\n{}\n{}\n{length}\n{}\n{}\n\n{}\n{}\n{}\n{}\n{}\n{}{resource}",
        method(request.method),
        header(request, "content-encoding"),
        header(request, "content-language"),
        header(request, "content-md5"),
        header(request, "content-type"),
        header(request, "if-modified-since"),
        header(request, "if-match"),
        header(request, "if-none-match"),
        header(request, "if-unmodified-since"),
        header(request, "range"),
        own.concat(),
    ));
    let signature = STANDARD.encode(hmac256(&key, to_sign.as_bytes()));
    set_header(request, "authorization", format!("SharedKey {account}:{signature}"));
    Ok(())
}

/// Cosmos DB: only for the account itself and for lists of databases (`GET /`, `GET /dbs`).
pub fn cosmos(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let key = decoded(values.need("key")?)?;
    let url = request.url.clone();
    let kind = match Target::of(&url)?.path {
        "/" => "",
        "/dbs" => "dbs",
        _ => return Err(Unsigned::Request("only `/` and `/dbs` of Cosmos DB can be signed")),
    };
    let date = http_date(now)?;
    let to_sign = format!("{}\n{kind}\n\n{}\n\n", method(request.method), date).to_lowercase();
    let signature = STANDARD.encode(hmac256(&key, to_sign.as_bytes()));
    set_header(request, "x-ms-date", date);
    set_header(request, "authorization", percent(&format!("type=master&ver=1.0&sig={signature}")));
    if header(request, "x-ms-version").is_empty() {
        set_header(request, "x-ms-version", "2018-12-31".to_owned());
    }
    Ok(())
}

/// Service Bus, Event Hubs, Relay and Notification Hubs: a signature of the host. The key is the text itself, not what it decodes to.
pub fn sas(values: &Values, request: &mut Outgoing, now: i64) -> Result<(), Unsigned> {
    let (name, key) = (values.need("name")?, values.need("key")?);
    let url = request.url.clone();
    let resource = percent(&format!("https://{}/", Target::of(&url)?.name()));
    let end = now + SAS_LIFE;
    let signature = STANDARD.encode(hmac256(key.as_bytes(), format!("{resource}\n{end}").as_bytes()));
    let value =
        format!("SharedAccessSignature sr={resource}&sig={}&se={end}&skn={}", percent(&signature), percent(name));
    set_header(request, "authorization", value);
    Ok(())
}

/// Base64 whose last character may hold bits that no byte needs: such keys are taken, too.
const LAX: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// A key in base64.
fn decoded(key: &str) -> Result<Zeroizing<Vec<u8>>, Unsigned> {
    LAX.decode(key).map(Zeroizing::new).map_err(|_| Unsigned::Key("the key is not base64"))
}
