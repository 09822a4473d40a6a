//! What a credential tells by itself, and replies: decoders and JSON on any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unsprawl::rules::ask::Decoder;
use unsprawl::verify::{judge, offline, times};

// In the order of the enum, so that the seeds' first byte names their decoder.
const ALL: [Decoder; 13] = [
    Decoder::None,
    Decoder::Jwt,
    Decoder::Json,
    Decoder::Base64Json,
    Decoder::Base64Text,
    Decoder::AwsAccount,
    Decoder::Macaroon,
    Decoder::GitlabRoutable,
    Decoder::Url,
    Decoder::Query,
    Decoder::SshKey,
    Decoder::PgpKey,
    Decoder::PrivateKey,
];

fuzz_target!(|data: &[u8]| {
    let Some((which, text)) = data.split_first() else { return };
    if let Some(json) = offline::decode(ALL[usize::from(*which) % ALL.len()], text) {
        assert!(json.to_string().len() <= 64 * text.len() + 4096, "a value that grows without bounds");
    }
    judge::strict(text);
    if let Ok(text) = std::str::from_utf8(text) {
        times::normal(text);
    }
});
