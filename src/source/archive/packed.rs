//! Compressed streams: gzip, bzip2, xz and zstd, of one or several members.
//!
//! Contract: a decoder gives what comes before damage and then an error; a stream that ends early is damaged; bytes
//! behind the last member are an error too unless they are zero, because nobody looked at them.

use std::io::{self, BufRead, ErrorKind, Read};

use liblzma::stream::{CONCATENATED, Stream};

use crate::notes::printable;
use crate::source::Origin;
use crate::source::archive::decode::{Decoder, SmallSteps};
use crate::source::archive::{Format, WINDOW};

/// Longest name that a gzip header may have.
const MAX_NAME: u64 = 4096;

/// An opened stream and, for gzip, the name of the file that was compressed, if the stream has it.
pub(super) type Opened<'r> = (Box<dyn Read + 'r>, Option<Vec<u8>>);

/// Opens a stream.
pub(super) fn open<'r>(format: Format, mut reader: &'r mut dyn BufRead) -> io::Result<Opened<'r>> {
    Ok(match format {
        Format::Gzip => {
            let name = gzip_header(&mut reader)?;
            (Box::new(Gzip { body: Decoder::new(reader, inflate()), sum: Default::default(), ended: false }), name)
        }
        Format::Bzip2 => (Box::new(Bzip2 { body: Decoder::new(reader, bunzip2()), ended: false }), None),
        Format::Xz => (Box::new(xz(reader)?), None),
        Format::Zstd => (Box::new(zstd(reader)?), None),
        Format::Zip | Format::Tar => return Err(ErrorKind::Unsupported.into()),
    })
}

/// For raw deflate data.
pub(super) fn inflate() -> flate2::Decompress {
    flate2::Decompress::new(false)
}

/// For one bzip2 stream.
pub(super) fn bunzip2() -> bzip2::Decompress {
    bzip2::Decompress::new(false)
}

/// An xz stream, or several.
pub(super) fn xz<R: BufRead>(reader: R) -> io::Result<impl Read> {
    Ok(Decoder::new(reader, Stream::new_stream_decoder(WINDOW, CONCATENATED)?))
}

/// A zstd frame, or several.
pub(super) fn zstd<R: BufRead>(reader: R) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
    decoder.window_log_max(WINDOW.ilog2())?;
    Ok(SmallSteps(decoder))
}

/// A gzip stream of one member, in memory.
pub(super) struct SingleGzip<'a> {
    /// The name of the file that was compressed.
    pub(super) name: Option<Vec<u8>>,
    /// The deflate data.
    pub(super) body: &'a [u8],
    /// CRC-32 of the text.
    pub(super) sum: u32,
    /// Length of the text.
    pub(super) size: u32,
}

/// Takes a gzip stream for one member. Whether it is one is known when sum and length fit the text.
pub(super) fn single_gzip(bytes: &[u8]) -> Option<SingleGzip<'_>> {
    let mut body = bytes;
    let name = gzip_header(&mut body).ok()?;
    let (body, end) = body.split_at_checked(body.len().checked_sub(8)?)?;
    let (sum, size) = end.split_first_chunk()?;
    Some(SingleGzip { name, body, sum: u32::from_le_bytes(*sum), size: u32::from_le_bytes(size.try_into().ok()?) })
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

/// All members of a gzip stream, one behind the other, without their headers and sums.
struct Gzip<R> {
    body: Decoder<R, flate2::Decompress>,
    sum: crc32fast::Hasher,
    ended: bool,
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !buf.is_empty() {
            let n = self.body.read(buf)?;
            if n > 0 {
                self.sum.update(&buf[..n]);
                return Ok(n);
            }
            let mut trailer = [0; 8];
            self.body.input.read_exact(&mut trailer)?;
            let sum = std::mem::take(&mut self.sum).finalize();
            let length = self.body.engine.total_out() as u32;
            self.ended = !another_member(&mut self.body.input, 0x1f)?;
            if trailer[..4] != sum.to_le_bytes() || trailer[4..] != length.to_le_bytes() {
                self.ended = true;
                return Err(io::Error::new(ErrorKind::InvalidData, "the checksum of the gzip data does not fit"));
            }
            if !self.ended {
                gzip_header(&mut self.body.input)?;
                self.body.engine.reset(false);
                self.body.ended = false;
            }
        }
        Ok(0)
    }
}

/// Reads the header of a gzip member and gives the name in it.
fn gzip_header(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut fixed = [0; 10];
    input.read_exact(&mut fixed)?;
    let flags = fixed[3];
    if fixed[..3] != [0x1f, 0x8b, 8] || flags & 0xe0 != 0 {
        return Err(io::Error::new(ErrorKind::InvalidData, "no gzip header"));
    }
    if flags & 4 != 0 {
        let mut length = [0; 2];
        input.read_exact(&mut length)?;
        io::copy(&mut input.take(u16::from_le_bytes(length).into()), &mut io::sink())?;
    }
    let name = if flags & 8 != 0 { Some(zero_ended(input)?) } else { None };
    if flags & 16 != 0 {
        zero_ended(input)?;
    }
    if flags & 2 != 0 {
        input.read_exact(&mut [0; 2])?;
    }
    Ok(name)
}

fn zero_ended(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(MAX_NAME).read_until(0, &mut text)?;
    match text.pop() {
        Some(0) => Ok(text),
        _ => Err(io::Error::new(ErrorKind::InvalidData, "a name in the gzip header has no end")),
    }
}

/// All bzip2 streams, one behind the other.
struct Bzip2<R> {
    body: Decoder<R, bzip2::Decompress>,
    ended: bool,
}

impl<R: BufRead> Read for Bzip2<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !buf.is_empty() {
            let n = self.body.read(buf)?;
            if n > 0 {
                return Ok(n);
            }
            self.ended = !another_member(&mut self.body.input, b'B')?;
            self.body.engine = bunzip2();
            self.body.ended = false;
        }
        Ok(0)
    }
}

/// Whether one more member follows, which would begin with the byte `first`. Behind the last one there may be zeros, as
/// tapes and some tools leave them.
fn another_member(input: &mut impl BufRead, first: u8) -> io::Result<bool> {
    let mut padded = false;
    loop {
        let bytes = input.fill_buf()?;
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        match bytes.get(zeros) {
            Some(b) if *b == first && !padded && zeros == 0 => return Ok(true),
            Some(_) => return Err(io::Error::new(ErrorKind::InvalidData, "unknown bytes behind the compressed data")),
            None if zeros == 0 => return Ok(false),
            None => input.consume(zeros),
        }
        padded = true;
    }
}
