//! Logs of any size: one thread reads blocks of whole lines, all cores sum them up, and the sums are
//! put together in the order of the lines. The result depends on the lines alone, and memory on the
//! number of cores alone.
//!
//! Files are read and not mapped: a log that is cut while it is read, as `copytruncate` does it, ends
//! a program that has it mapped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use flate2::bufread::MultiGzDecoder;

use super::record::{self, Line, Record, VERSION};
use crate::cli::BadUsage;

/// How much is read at a time.
pub const BLOCK: usize = 1 << 20;

/// Longest line; a longer one is garbage. The gateway's records have 1 MiB at most.
pub const MAX_LINE: usize = 16 << 20;

/// Most versions and reasons that are told apart among lines that are no records.
const MAX_KINDS: usize = 16;

/// A log.
pub struct Source<'a> {
    /// Its name, for messages.
    pub name: String,
    /// Opens it. What begins like a file of `gzip` is unpacked.
    pub open: Box<dyn FnOnce() -> io::Result<Box<dyn Read + 'a>> + Send + 'a>,
}

/// What records are put into.
pub trait Sink: Send {
    /// Takes a record.
    fn take(&mut self, record: &Record<'_>);

    /// Adds what the next block made of its records.
    fn merge(&mut self, next: Self);
}

/// What became of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// All lines.
    pub all: u64,
    /// Those that are records of this version.
    pub records: u64,
    /// Lines of an access log without a record.
    pub without: u64,
    /// Records of other versions, by version.
    pub versions: BTreeMap<u64, u64>,
    /// What is neither, by reason.
    pub garbage: BTreeMap<&'static str, u64>,
    /// Where the first of these is.
    pub first: Option<Wrong>,
}

/// A line that is no record of this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The log, as a place in the list of sources.
    pub source: usize,
    /// Counted from 1.
    pub line: u64,
    /// Why it is none.
    pub why: String,
}

/// Reads all sources into sinks. `part` makes one for each block, `whole` is the one that all are merged into.
/// With `strict` it ends at the first line that is wrong; [`Lines::first`] tells which.
///
/// # Errors
/// A source cannot be opened or read.
pub fn read<S: Sink>(
    sources: Vec<Source<'_>>,
    whole: S,
    part: impl Fn() -> S + Sync,
    strict: bool,
) -> Result<(S, Lines), BadUsage> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let in_flight = 2 * cores + 2;
    let (give_back, free) = sync_channel(in_flight);
    let (send_full, full) = sync_channel(in_flight);
    let (send_done, done) = sync_channel(in_flight);
    for _ in 0..in_flight {
        // The channel has room for all of them.
        let _ = give_back.try_send(Vec::new());
    }
    let (full, stop) = (Mutex::new(full), AtomicBool::new(false));
    let (full, stop, part) = (&full, &stop, &part);
    thread::scope(|scope| {
        let reader = scope.spawn(move || read_blocks(sources, &free, &send_full, stop));
        for _ in 0..cores {
            let send_done = send_done.clone();
            scope.spawn(move || work(full, &send_done, part));
        }
        drop(send_done);
        let result = put_together(whole, &done, &give_back, strict, stop);
        // The reader may wait for a buffer, and the workers for a place to put their sums.
        drop((give_back, done));
        match reader.join() {
            Ok(Ok(())) => Ok(result),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(BadUsage("the reader failed".to_owned())),
        }
    })
}

/// Whole lines of one source.
struct Block {
    number: u64,
    source: usize,
    bytes: Vec<u8>,
    length: usize,
    /// After these lines comes one that is too long.
    too_long: bool,
}

struct Done<S> {
    number: u64,
    source: usize,
    sink: S,
    lines: Lines,
    bytes: Vec<u8>,
}

fn read_blocks(
    sources: Vec<Source<'_>>,
    free: &Receiver<Vec<u8>>,
    full: &SyncSender<Block>,
    stop: &AtomicBool,
) -> Result<(), BadUsage> {
    let (mut number, mut spare) = (0, None);
    for (source, Source { name, open }) in sources.into_iter().enumerate() {
        let failed = |error: io::Error| BadUsage(format!("{name}: {error}"));
        let mut blocks = Blocks::new(unpacked(open().map_err(failed)?).map_err(failed)?);
        while !stop.load(Ordering::Relaxed) {
            let Some(bytes) = spare.take().or_else(|| free.recv().ok()) else { return Ok(()) };
            let mut block = Block { number, source, bytes, length: 0, too_long: false };
            if !blocks.fill(&mut block).map_err(failed)? {
                spare = Some(block.bytes);
                break;
            }
            number += 1;
            if full.send(block).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn unpacked<'a>(mut source: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = [0; 2];
    let mut length = 0;
    while let Some(rest) = start.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let begun = Cursor::new(start.get(..length).unwrap_or_default().to_vec()).chain(source);
    Ok(match start {
        [0x1f, 0x8b] => Box::new(MultiGzDecoder::new(BufReader::with_capacity(BLOCK, begun))),
        _ => Box::new(begun),
    })
}

/// Cuts a source into blocks of whole lines.
struct Blocks<'a> {
    source: Box<dyn Read + 'a>,
    /// What was read of the next block's first line.
    begun: Vec<u8>,
}

impl<'a> Blocks<'a> {
    const fn new(source: Box<dyn Read + 'a>) -> Self {
        Self { source, begun: Vec::new() }
    }

    /// False at the end of the source. A block is about as large as [`BLOCK`], or as its first line.
    fn fill(&mut self, block: &mut Block) -> io::Result<bool> {
        let Block { bytes, length, too_long, .. } = block;
        if bytes.len() > 4 * BLOCK {
            *bytes = Vec::new();
        }
        *length = 0;
        let mut begun = Cursor::new(std::mem::take(&mut self.begun)).chain(&mut self.source);
        loop {
            let searched = *length;
            let end = searched + BLOCK;
            // Memory grows with what was read, not with what may come.
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            while let Some(rest) = bytes.get_mut(*length..end).filter(|rest| !rest.is_empty()) {
                match begun.read(rest) {
                    Ok(0) => return Ok(*length > 0),
                    Ok(more) => *length += more,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            let new = bytes.get(searched..end).unwrap_or_default();
            if let Some(at) = memchr::memrchr(b'\n', new) {
                *length = searched + at + 1;
                self.begun = bytes.get(*length..end).unwrap_or_default().to_vec();
                return Ok(true);
            }
            if *length > MAX_LINE {
                *too_long = true;
                *length = 0;
                return self.skip_line(bytes).map(|()| true);
            }
        }
    }

    /// Reads until a line begins.
    fn skip_line(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match self.source.read(buffer) {
                Ok(0) => return Ok(()),
                Ok(more) => {
                    let read = buffer.get(..more).unwrap_or_default();
                    if let Some(end) = memchr::memchr(b'\n', read) {
                        self.begun.extend_from_slice(read.get(end + 1..).unwrap_or_default());
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn work<S: Sink>(
    full: &Mutex<Receiver<Block>>,
    done: &SyncSender<Done<S>>,
    part: &(impl Fn() -> S + Sync),
) {
    let mut scratch = Vec::new();
    loop {
        let next = full.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(block) = next else { return };
        let (mut sink, mut lines) = (part(), Lines::default());
        let Block { number, source, bytes, length, too_long } = block;
        let mut rest = bytes.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, after) = rest.split_at(end);
            rest = after;
            lines.note(source, &record::read(line, &mut scratch), |record| sink.take(record));
        }
        if too_long {
            let line = Line::Garbage("it is longer than 16 MiB");
            lines.note(source, &line, |_| {});
        }
        if done.send(Done { number, source, sink, lines, bytes }).is_err() {
            return;
        }
    }
}

/// Merges what the workers send, in the order of the blocks. A buffer goes back only then, so that
/// nobody gets far ahead of a slow worker.
fn put_together<S: Sink>(
    mut whole: S,
    done: &Receiver<Done<S>>,
    give_back: &SyncSender<Vec<u8>>,
    strict: bool,
    stop: &AtomicBool,
) -> (S, Lines) {
    let (mut lines, mut waiting, mut next) = (Lines::default(), BTreeMap::new(), 0);
    // Lines of earlier sources.
    let (mut source, mut before) = (0, 0);
    while let Ok(part) = done.recv() {
        waiting.insert(part.number, part);
        while let Some(part) = waiting.remove(&next) {
            next += 1;
            if part.source != source {
                (source, before) = (part.source, lines.all);
            }
            lines.merge(part.lines, lines.all - before);
            whole.merge(part.sink);
            // At the end nobody needs it any more.
            let _ = give_back.try_send(part.bytes);
            if strict && lines.first.is_some() {
                stop.store(true, Ordering::Relaxed);
                return (whole, lines);
            }
        }
    }
    (whole, lines)
}

impl Lines {
    fn note(&mut self, source: usize, line: &Line<'_>, take: impl FnOnce(&Record<'_>)) {
        self.all += 1;
        let why = match line {
            Line::Record(record) => {
                self.records += 1;
                take(record);
                return;
            }
            Line::Nothing => {
                self.without += 1;
                return;
            }
            Line::Version(version) => {
                add_up_to(&mut self.versions, *version, 1);
                of_version(*version)
            }
            Line::Garbage(why) => {
                add_up_to(&mut self.garbage, *why, 1);
                (*why).to_owned()
            }
        };
        if self.first.is_none() {
            self.first = Some(Wrong { source, line: self.all, why });
        }
    }

    /// Adds the next lines, which come after so many of their source.
    fn merge(&mut self, next: Self, before: u64) {
        self.all += next.all;
        self.records += next.records;
        self.without += next.without;
        for (version, count) in next.versions {
            add_up_to(&mut self.versions, version, count);
        }
        for (why, count) in next.garbage {
            add_up_to(&mut self.garbage, why, count);
        }
        if self.first.is_none() {
            self.first = next.first.map(|wrong| Wrong { line: wrong.line + before, ..wrong });
        }
    }

    /// What is said of lines that are no records and should be, to people; nothing if there are none.
    /// `logs` are the names of the sources.
    #[must_use]
    pub fn told(&self, logs: &[String]) -> String {
        let Some(first) = &self.first else { return String::new() };
        let name = logs.get(first.source).map_or("", |name| &**name);
        let (wrong, all) = (self.wrong(), self.all);
        let are = if wrong == 1 { "is" } else { "are" };
        let mut told = format!(
            "{wrong} of {all} lines {are} no record of version {VERSION} and count nowhere. The first is {name}:{}: {}.\n",
            first.line, first.why,
        );
        let versions = self.versions.iter().map(|(version, count)| (of_version(*version), *count));
        let garbage = self.garbage.iter().map(|(why, count)| ((*why).to_owned(), *count));
        let kinds: Vec<(String, u64)> = versions.chain(garbage).collect();
        if kinds.len() > 1 {
            for (why, count) in kinds {
                let _ = writeln!(told, "{count:>12}: {why}");
            }
        }
        told
    }

    /// Lines that are no records of this version, and should be.
    #[must_use]
    pub const fn wrong(&self) -> u64 {
        self.all - self.records - self.without
    }
}

fn of_version(version: u64) -> String {
    format!("it is a record of version {version}")
}

/// Hostile lines have as many versions as they like: those beyond [`MAX_KINDS`] are only in
/// [`Lines::wrong`].
fn add_up_to<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, count: u64) {
    if let Some(known) = counts.get_mut(&key) {
        *known += count;
    } else if counts.len() < MAX_KINDS {
        counts.insert(key, count);
    }
}
