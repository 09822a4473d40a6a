//! Compressed streams: gzip, bzip2, xz and zstd, of one or several members.
//!
//! Contract: a decoder gives what comes before damage and then an error; a stream that ends early is damaged; bytes
//! behind the last member are an error too unless they are zero, because nobody looked at them.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use crate::notes::printable;
use crate::source::Origin;
use crate::source::archive::{Format, WINDOW};

/// Opens a stream. For gzip also gives the name of the file that was compressed, if the stream has it.
pub(super) fn decoder<'r>(
    format: Format,
    reader: &'r mut dyn BufRead,
) -> io::Result<(Box<dyn Read + 'r>, Option<Vec<u8>>)> {
    Ok(match format {
        Format::Gzip => {
            let gzip = GzDecoder::new(reader);
            let name = gzip.header().and_then(|h| h.filename()).map(<[u8]>::to_vec);
            (Box::new(Gzip(Some(gzip))), name)
        }
        Format::Bzip2 => (Box::new(bzip2::bufread::MultiBzDecoder::new(reader)), None),
        Format::Xz => (xz(reader)?, None),
        Format::Zstd => (zstd(reader)?, None),
        Format::Zip | Format::Tar => return Err(io::ErrorKind::Unsupported.into()),
    })
}

/// An xz stream, or several.
pub(super) fn xz<'r>(reader: impl BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let stream = Stream::new_stream_decoder(WINDOW, CONCATENATED)?;
    Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(reader, stream)))
}

/// A zstd frame, or several.
pub(super) fn zstd<'r>(reader: impl BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
    decoder.window_log_max(WINDOW.ilog2())?;
    Ok(Box::new(decoder))
}

/// Whether a decoder stopped because its stream wants more memory than we give.
pub(super) fn wants_memory(e: &io::Error) -> bool {
    use liblzma::stream::Error;
    let xz = e.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(xz, Some(Error::MemLimit | Error::Mem)) || e.to_string().contains("requires too much memory")
}

/// The name of what a stream holds: its own without the ending that says how it is packed, or what the stream says.
pub(super) fn name(format: Format, at: &Origin, stored: Option<Vec<u8>>) -> String {
    let own = match at.member.last() {
        Some(member) => member.clone(),
        None => printable(&at.path),
    };
    let own = own.rsplit('/').next().unwrap_or_default();
    let endings: &[(&str, &str)] = match format {
        Format::Gzip => &[(".gz", ""), (".tgz", ".tar"), (".svgz", ".svg")],
        Format::Bzip2 => &[(".bz2", ""), (".tbz2", ".tar"), (".tbz", ".tar")],
        Format::Xz => &[(".xz", ""), (".txz", ".tar")],
        _ => &[(".zst", ""), (".tzst", ".tar")],
    };
    for (ending, instead) in endings {
        if let Some(stem) = own.strip_suffix(ending).filter(|stem| !stem.is_empty()) {
            return format!("{stem}{instead}");
        }
    }
    stored.map_or_else(|| own.to_string(), |name| printable(&name))
}

/// All members of a gzip stream, one behind the other.
struct Gzip<R>(Option<GzDecoder<R>>);

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.0 {
            let n = member.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            self.0 = match self.0.take().map(GzDecoder::into_inner) {
                Some(rest) => next_member(rest)?,
                None => None,
            };
        }
        Ok(0)
    }
}

/// The next member, if there is one: behind the last there may be zeros, as tapes and some tools leave them.
fn next_member<R: BufRead>(mut rest: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let bytes = rest.fill_buf()?;
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        match bytes.get(zeros) {
            Some(0x1f) if zeros == 0 => return Ok(Some(GzDecoder::new(rest))),
            Some(_) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "unknown data behind the compressed data"));
            }
            None if zeros == 0 => return Ok(None),
            None => rest.consume(zeros),
        }
    }
}
