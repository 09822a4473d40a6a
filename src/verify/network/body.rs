//! Reads a reply with bounds on everything.
//!
//! Contract: no more than the limit is kept in memory, neither of what comes over the wire nor of what it expands to.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::super::transport::{Failure, Reply};

/// Longest value of a header that is kept, in bytes.
const HEADER_VALUE: usize = 16 << 10;

/// Reads the whole reply, up to `limit` bytes of body.
pub(super) async fn read(mut response: reqwest::Response, limit: usize) -> Result<Reply, Failure> {
    let mut reply = Reply { status: response.status().as_u16(), ..Reply::default() };
    for (name, value) in response.headers() {
        let value = &value.as_bytes()[..value.len().min(HEADER_VALUE)];
        reply.headers.push((name.as_str().to_owned(), String::from_utf8_lossy(value).into_owned()));
    }
    while let Some(chunk) = response.chunk().await? {
        let room = limit - reply.body.len();
        reply.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            reply.cut = true;
            break;
        }
    }
    decode(&mut reply, limit)?;
    Ok(reply)
}

/// Undoes the content encoding.
fn decode(reply: &mut Reply, limit: usize) -> Result<(), Failure> {
    let encoding = reply.header("content-encoding").unwrap_or_default().trim().to_ascii_lowercase();
    let raw = std::mem::take(&mut reply.body);
    let (body, cut) = match encoding.as_str() {
        _ if raw.is_empty() => return Ok(()),
        "" | "identity" => (raw, false),
        "gzip" | "x-gzip" => expand(MultiGzDecoder::new(&raw[..]), limit, reply.cut)?,
        "deflate" => expand(ZlibDecoder::new(&raw[..]), limit, reply.cut)?,
        _ => return Err(Failure::Broken("the reply has a content encoding that was not asked for".into())),
    };
    reply.body = body;
    reply.cut |= cut;
    Ok(())
}

/// At most `limit` bytes, and whether there were more. What was cut on the wire ends early: that is no damage.
fn expand(decoder: impl Read, limit: usize, cut: bool) -> Result<(Vec<u8>, bool), Failure> {
    let mut body = Vec::new();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut body);
    if read.is_err() && !cut {
        return Err(Failure::Broken("the reply cannot be decompressed".into()));
    }
    let more = body.len() > limit;
    body.truncate(limit);
    Ok((body, more))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn reply(encoding: &str, body: Vec<u8>) -> Reply {
        Reply { status: 200, headers: vec![("content-encoding".into(), encoding.into())], body, cut: false }
    }

    #[test]
    fn encodings_are_undone_within_the_limit() {
        let mut small = reply("GZIP", gzip(b"hello"));
        decode(&mut small, 100).unwrap();
        assert_eq!((small.body.as_slice(), small.cut), (&b"hello"[..], false));

        let mut bomb = reply("gzip", gzip(&vec![0; 50_000_000]));
        assert!(bomb.body.len() < 100_000);
        decode(&mut bomb, 1000).unwrap();
        assert_eq!((bomb.body.len(), bomb.body.capacity() < 5000, bomb.cut), (1000, true, true));

        let mut damaged = reply("gzip", gzip(b"hello")[..10].to_vec());
        assert!(decode(&mut damaged, 100).is_err());
        let mut cut = Reply { cut: true, ..reply("gzip", gzip(&[7; 999])[..20].to_vec()) };
        decode(&mut cut, 100).unwrap();
        assert!(decode(&mut reply("br", b"x".to_vec()), 100).is_err());
        decode(&mut reply("br", vec![]), 100).unwrap();
    }
}
