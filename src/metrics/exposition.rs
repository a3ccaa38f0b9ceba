//! One exposition for all scrapers: the snapshot's part compressed once per snapshot, the daemon's own part fresh at
//! each scrape.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::{DaemonMetrics, SnapshotEncoder};
use crate::outlook::Snapshot;

/// The `Content-Type` of text format 0.0.4.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How much text is encoded before it is compressed or sent.
const PIECE: usize = 64 * 1024;

/// A gzip stream (RFC 1952) with an unknown time and the mark of the fastest compression.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// The text that `/metrics` serves.
///
/// Text compresses to a few hundredths, so what is kept between scrapes is the compressed form alone. It is made by
/// whoever asks first; others who ask meanwhile wait for it instead of making it again.
#[derive(Debug)]
pub struct Exposition {
    daemon: Arc<DaemonMetrics>,
    compressed: Mutex<Slot>,
}

/// The snapshot that was compressed last. The weak reference keeps the address from being used again, not the rows.
#[derive(Debug, Default)]
struct Slot {
    of: Weak<Snapshot>,
    text: Arc<OnceLock<Deflated>>,
}

/// Deflate blocks that end at a byte and are not the last, with what a gzip trailer must know of their text.
#[derive(Debug)]
struct Deflated {
    blocks: Bytes,
    crc: Crc,
}

/// A gzip stream in two parts, to be sent one after the other.
#[derive(Clone, Debug)]
pub struct GzipBody {
    /// The parts.
    pub parts: [Bytes; 2],
}

impl Exposition {
    /// The exposition of snapshots to come, with the daemon's own metrics behind them.
    pub fn new(daemon: Arc<DaemonMetrics>) -> Self {
        Self { daemon, compressed: Mutex::default() }
    }

    /// The daemon's own metrics.
    pub fn daemon(&self) -> &Arc<DaemonMetrics> {
        &self.daemon
    }

    /// The text, compressed. This takes some milliseconds of CPU for the first caller with a big snapshot: call it
    /// where blocking is allowed.
    pub fn gzip(&self, snapshot: &Arc<Snapshot>) -> Result<GzipBody, prometheus::Error> {
        let slot = {
            let mut slot = self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::ptr::eq(slot.of.as_ptr(), Arc::as_ptr(snapshot)) {
                *slot = Slot { of: Arc::downgrade(snapshot), text: Arc::default() };
            }
            Arc::clone(&slot.text)
        };
        let front = slot.get_or_init(|| deflate_snapshot(snapshot));

        let own = self.daemon.encode()?;
        let mut back = Deflater::new(Vec::with_capacity(own.len() / 4));
        back.write(own.as_bytes(), FlushCompress::Finish);
        let mut crc = Crc::new();
        crc.combine(&front.crc);
        crc.combine(&back.crc);
        let mut tail = back.out;
        tail.extend_from_slice(&crc.sum().to_le_bytes());
        tail.extend_from_slice(&crc.amount().to_le_bytes());
        Ok(GzipBody { parts: [front.blocks.clone(), Bytes::from(tail)] })
    }

    /// The text as it is, piece by piece.
    pub fn plain(&self, snapshot: Arc<Snapshot>) -> Result<PlainPieces, prometheus::Error> {
        Ok(PlainPieces { snapshot, encoder: SnapshotEncoder::new(), own: Some(self.daemon.encode()?) })
    }
}

/// The pieces of the plain text, each made when it is asked for.
#[derive(Debug)]
pub struct PlainPieces {
    snapshot: Arc<Snapshot>,
    encoder: SnapshotEncoder,
    own: Option<String>,
}

impl Iterator for PlainPieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.own.as_ref()?;
        let mut piece = String::with_capacity(PIECE + PIECE / 8);
        if !self.encoder.fill(&self.snapshot, &mut piece, PIECE) {
            piece.push_str(&self.own.take()?);
        }
        Some(Bytes::from(piece))
    }
}

fn deflate_snapshot(snapshot: &Snapshot) -> Deflated {
    let mut deflater = Deflater::new(GZIP_HEADER.to_vec());
    let mut encoder = SnapshotEncoder::new();
    let mut piece = String::with_capacity(PIECE + PIECE / 8);
    let mut more = true;
    while more {
        piece.clear();
        more = encoder.fill(snapshot, &mut piece, PIECE);
        deflater.write(piece.as_bytes(), if more { FlushCompress::None } else { FlushCompress::Sync });
    }
    deflater.out.shrink_to_fit();
    Deflated { blocks: Bytes::from(deflater.out), crc: deflater.crc }
}

/// A raw deflate stream into a vector that grows.
struct Deflater {
    compress: Compress,
    crc: Crc,
    out: Vec<u8>,
}

impl Deflater {
    fn new(out: Vec<u8>) -> Self {
        Self { compress: Compress::new(Compression::fast(), false), crc: Crc::new(), out }
    }

    /// Compress all of `input`; with a flush, until everything is out.
    fn write(&mut self, input: &[u8], flush: FlushCompress) {
        self.crc.update(input);
        let start = self.compress.total_in();
        loop {
            if self.out.capacity() - self.out.len() < 1024 {
                self.out.reserve((self.out.len() / 2).max(4096));
            }
            let consumed = usize::try_from(self.compress.total_in() - start).unwrap_or(input.len());
            let status = self.compress.compress_vec(&input[consumed.min(input.len())..], &mut self.out, flush);
            let consumed = usize::try_from(self.compress.total_in() - start).unwrap_or(input.len());
            // Room that is left over after all input was taken means that nothing waits inside.
            let drained = consumed == input.len() && self.out.len() < self.out.capacity();
            match status {
                Ok(Status::StreamEnd | Status::BufError) => break,
                Ok(Status::Ok) if drained && !matches!(flush, FlushCompress::Finish) => break,
                Ok(Status::Ok) => {}
                // Without a dictionary and with valid flush values the compressor has no error to tell.
                Err(error) => unreachable!("deflate refused its input: {error}"),
            }
        }
    }
}
