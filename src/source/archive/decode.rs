//! Decoders as readers that lose nothing before damage.
//!
//! Contract: what a decoder made before it met damage is given first and the error with the next call, and with every
//! call after; input that ends early is an error. (The readers of the decoders' own crates drop what the failing call had
//! made.)

use std::io::{self, BufRead, ErrorKind, Read};

use liblzma::stream::{Action, Stream};

/// What one step of a decoder did.
pub(super) struct Step {
    /// Bytes of input used up.
    used: usize,
    /// Bytes of output made.
    made: usize,
    /// Whether the data ended, or what is wrong with it.
    ended: io::Result<bool>,
}

/// A decoder that works from slice to slice. No input means that there is no more.
pub(super) trait Engine {
    /// Decodes as far as input and output reach.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step;
}

/// Raw deflate data.
impl Engine for flate2::Decompress {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let (used, made) = (self.total_in(), self.total_out());
        let status = self.decompress(input, output, flate2::FlushDecompress::None);
        let ended = status.map(|s| s == flate2::Status::StreamEnd).map_err(invalid);
        Step { used: (self.total_in() - used) as usize, made: (self.total_out() - made) as usize, ended }
    }
}

/// One bzip2 stream.
impl Engine for bzip2::Decompress {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let (used, made) = (self.total_in(), self.total_out());
        let status = self.decompress(input, output);
        let ended = status.map(|s| s == bzip2::Status::StreamEnd).map_err(invalid);
        Step { used: (self.total_in() - used) as usize, made: (self.total_out() - made) as usize, ended }
    }
}

/// All streams of an xz file.
impl Engine for Stream {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let (used, made) = (self.total_in(), self.total_out());
        let action = if input.is_empty() { Action::Finish } else { Action::Run };
        let status = self.process(input, output, action);
        let ended = status.map(|s| s == liblzma::stream::Status::StreamEnd).map_err(io::Error::from);
        Step { used: (self.total_in() - used) as usize, made: (self.total_out() - made) as usize, ended }
    }
}

fn invalid(e: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, e)
}

/// Reads what an engine makes of its input, and no byte of input behind that.
pub(super) struct Decoder<R, E> {
    pub(super) input: R,
    pub(super) engine: E,
    pub(super) ended: bool,
    damage: Option<(ErrorKind, String)>,
}

impl<R, E> Decoder<R, E> {
    pub(super) fn new(input: R, engine: E) -> Self {
        Self { input, engine, ended: false, damage: None }
    }
}

impl<R: BufRead, E: Engine> Read for Decoder<R, E> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !out.is_empty() {
            if let Some((kind, what)) = &self.damage {
                return Err(io::Error::new(*kind, what.clone()));
            }
            let input = self.input.fill_buf()?;
            let Step { used, made, ended } = self.engine.step(input, out);
            let stuck = if input.is_empty() { ErrorKind::UnexpectedEof } else { ErrorKind::InvalidData };
            self.input.consume(used);
            match ended {
                Ok(ended) => self.ended = ended,
                Err(e) if made == 0 => return Err(e),
                Err(e) => self.damage = Some((e.kind(), e.to_string())),
            }
            if made > 0 {
                return Ok(made);
            }
            if !self.ended && used == 0 {
                return Err(io::Error::new(stuck, "the compressed data ends early"));
            }
        }
        Ok(0)
    }
}

/// Reads in small steps: what a zstd decoder drops when it meets damage is then at most one of them.
pub(super) struct SmallSteps<R>(pub(super) R);

impl<R: Read> Read for SmallSteps<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(4096);
        self.0.read(&mut out[..most])
    }
}
