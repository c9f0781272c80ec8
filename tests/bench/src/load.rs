//! The client: raw HTTP/1.1 over many connections, one thread, one epoll.

use crate::args::Args;
use crate::body::Size;
use crate::cpu::Sample;
use crate::http::{Kind, Reader};
use crate::marks::Marks;
use crate::shot::Shot;
use crate::sys::{self, Epoll};
use crate::{Result, mock, wire};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

/// Longest time one request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Failed requests, none good between them, after which a load gives up.
const MAX_FAILED_IN_A_ROW: u32 = 500;

/// When requests are sent.
pub enum Pace {
    /// Each connection sends its next request as soon as it has its answer. Connections begin one
    /// `stagger` after the other.
    Closed { stagger: Duration },
    /// So many requests a second in all; latency counts from the time a request was due.
    Open { per_second: f64 },
}

#[derive(Default)]
pub struct Counts {
    pub done: u64,
    pub errors: u64,
    /// Streams (or answers) that lacked chunks, held them twice, or did not end as they should.
    pub short: u64,
    pub hung_up: u64,
    pub chunks: u64,
    pub bytes: u64,
    pub first_error: Option<String>,
    /// In microseconds, in the order of completion. Only of requests begun since the last reset.
    pub latencies: Vec<f32>,
}

impl Counts {
    /// Latency in microseconds that `share` of the requests stayed within.
    pub fn percentile(&mut self, share: f64) -> Option<f64> {
        let last = self.latencies.len().checked_sub(1)?;
        let at = ((self.latencies.len() as f64 * share) as usize).min(last);
        let (_, value, _) = self.latencies.select_nth_unstable_by(at, f32::total_cmp);
        Some(f64::from(*value))
    }
}

/// A load under way. It only moves while [`Load::drive`] runs.
pub struct Load<'a> {
    port: u16,
    shots: &'a [Shot],
    choose: Box<dyn FnMut(u64) -> usize + 'a>,
    pace: Pace,
    /// Requests to send in all.
    pub limit: u64,
    /// Requests sent so far, counted at their start.
    pub begun: u64,
    pub counts: Counts,
    keep_latencies: bool,
    started: Instant,
    window: Instant,
    epoll: Epoll,
    conns: Vec<Conn>,
    /// Connections that have begun to take part: the first so many.
    joined: usize,
    idle: Vec<usize>,
    failed_in_a_row: u32,
    scratch: Vec<u8>,
}

struct Conn {
    socket: Option<TcpStream>,
    reader: Reader,
    marks: Marks,
    shot: usize,
    sent: usize,
    began: Option<Instant>,
}

enum Progress {
    Waiting,
    Complete { keep: bool },
    HungUp,
}

impl<'a> Load<'a> {
    /// `choose` maps the number of a request to the index of its shot.
    pub fn new(
        port: u16,
        conns: usize,
        pace: Pace,
        shots: &'a [Shot],
        choose: impl FnMut(u64) -> usize + 'a,
    ) -> Result<Self> {
        let conns = (0..conns).map(|_| Conn {
            socket: None,
            reader: Reader::new(Kind::Response),
            marks: Marks::default(),
            shot: 0,
            sent: 0,
            began: None,
        });
        Ok(Self {
            port,
            shots,
            choose: Box::new(choose),
            pace,
            limit: u64::MAX,
            begun: 0,
            counts: Counts::default(),
            keep_latencies: true,
            started: Instant::now(),
            window: Instant::now(),
            epoll: Epoll::new()?,
            conns: conns.collect(),
            joined: 0,
            idle: Vec::new(),
            failed_in_a_row: 0,
            scratch: vec![0; 256 * 1024],
        })
    }

    /// For runs so long that a list of latencies would be the tool's own leak.
    pub fn forget_latencies(&mut self) {
        self.keep_latencies = false;
    }

    /// Begins a window: everything counts from here.
    pub fn reset(&mut self) {
        self.counts = Counts::default();
        self.window = Instant::now();
    }

    /// Sends and reads until `until`, until all requests are answered, or until interrupted.
    pub fn drive(&mut self, until: Instant) -> Result<()> {
        let mut ready = Vec::new();
        loop {
            let now = Instant::now();
            if now >= until || sys::interrupted() || self.finished() {
                break;
            }
            let due = self.due_to_join();
            self.idle.extend(self.joined..due);
            self.joined = due;
            let wake = self.dispatch(now)?.min(until).saturating_duration_since(now);
            self.epoll.wait(wake.min(Duration::from_millis(100)), &mut ready)?;
            for index in &ready {
                self.advance(*index)?;
            }
        }
        self.drop_stalled()?;
        if sys::interrupted() { Err("interrupted".into()) } else { Ok(()) }
    }

    /// Lets the requests under way end, for at most `patience`.
    pub fn drain(&mut self, patience: Duration) -> Result<()> {
        self.limit = self.begun;
        self.drive(Instant::now() + patience)
    }

    fn finished(&self) -> bool {
        self.begun >= self.limit && self.conns.iter().all(|conn| conn.began.is_none())
    }

    fn due_to_join(&self) -> usize {
        match self.pace {
            Pace::Closed { stagger } if !stagger.is_zero() => {
                let steps = self.started.elapsed().as_nanos() / stagger.as_nanos();
                (steps as usize + 1).min(self.conns.len())
            }
            Pace::Closed { .. } | Pace::Open { .. } => self.conns.len(),
        }
    }

    /// Begins what is due on idle connections; tells when more will be due.
    fn dispatch(&mut self, now: Instant) -> Result<Instant> {
        let later = now + Duration::from_millis(100);
        while self.begun < self.limit {
            let due = match self.pace {
                Pace::Closed { stagger } => {
                    if self.idle.is_empty() {
                        let more = self.joined < self.conns.len();
                        return Ok(if more { now + stagger } else { later });
                    }
                    Instant::now()
                }
                Pace::Open { per_second } => {
                    let due =
                        self.started + Duration::from_secs_f64(self.begun as f64 / per_second);
                    if due > now {
                        return Ok(due);
                    }
                    due
                }
            };
            let Some(index) = self.idle.pop() else { break };
            self.begin(index, due)?;
        }
        Ok(later)
    }

    fn begin(&mut self, index: usize, due: Instant) -> Result<()> {
        let shot = (self.choose)(self.begun);
        self.begun += 1;
        let conn = &mut self.conns[index];
        conn.shot = shot;
        conn.sent = 0;
        conn.began = Some(due);
        conn.reader.reset();
        conn.marks.reset();
        if conn.socket.is_none() {
            match connect(self.port) {
                Ok(socket) => {
                    self.epoll.add(&socket, index)?;
                    conn.socket = Some(socket);
                }
                Err(error) => return self.fail(index, &format!("connect: {error}")),
            }
        }
        self.advance(index)
    }

    fn advance(&mut self, index: usize) -> Result<()> {
        let conn = &mut self.conns[index];
        let Some(socket) = conn.socket.as_mut() else { return Ok(()) };
        let Some(began) = conn.began else {
            // Nothing is asked, so readiness means the peer closed.
            if !matches!(socket.read(&mut self.scratch), Err(error) if error.kind() == ErrorKind::WouldBlock)
            {
                conn.socket = None;
            }
            return Ok(());
        };
        let shot = &self.shots[conn.shot];
        let before = conn.marks.seen;
        let progress = conn.exchange(shot, &mut self.scratch, &mut self.counts.bytes);
        if !shot.end.is_empty() {
            self.counts.chunks += (conn.marks.seen - before) as u64;
        }
        match progress {
            Err(error) => return self.fail(index, &error.to_string()),
            Ok(Progress::Waiting) => return Ok(()),
            Ok(Progress::HungUp) => {
                self.counts.hung_up += 1;
                conn.socket = None;
            }
            Ok(Progress::Complete { keep }) => {
                if conn.reader.status() != 200 {
                    let tail = conn.marks.tail();
                    let text = format!("status {}: …{tail}", conn.reader.status());
                    return self.fail(index, &text);
                }
                self.counts.done += 1;
                self.failed_in_a_row = 0;
                let whole = conn.marks.seen == shot.marks && !conn.marks.disordered;
                if !whole || !(shot.end.is_empty() || conn.marks.ends_with(shot.end)) {
                    self.counts.short += 1;
                    let text = format!("{} marks, then …{}", conn.marks.seen, conn.marks.tail());
                    self.counts.first_error.get_or_insert(text);
                }
                if self.keep_latencies && began >= self.window {
                    self.counts.latencies.push(began.elapsed().as_secs_f32() * 1e6);
                }
                if !keep {
                    conn.socket = None;
                }
            }
        }
        self.release(index);
        Ok(())
    }

    fn fail(&mut self, index: usize, error: &str) -> Result<()> {
        self.counts.errors += 1;
        self.counts.first_error.get_or_insert_with(|| error.to_owned());
        self.conns[index].socket = None;
        self.release(index);
        self.failed_in_a_row += 1;
        if self.failed_in_a_row > MAX_FAILED_IN_A_ROW {
            return Err(format!("nothing but failed requests; the last: {error}").into());
        }
        Ok(())
    }

    fn release(&mut self, index: usize) {
        self.conns[index].began = None;
        self.idle.push(index);
    }

    fn drop_stalled(&mut self) -> Result<()> {
        for index in 0..self.conns.len() {
            if self.conns[index].began.is_some_and(|began| began.elapsed() > PATIENCE) {
                self.fail(index, "no whole answer within 20 s")?;
            }
        }
        Ok(())
    }
}

impl Conn {
    fn exchange(&mut self, shot: &Shot, scratch: &mut [u8], bytes: &mut u64) -> Result<Progress> {
        let socket = self.socket.as_mut().ok_or("not connected")?;
        while self.sent < shot.request.len() {
            match socket.write(&shot.request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        loop {
            let count = match socket.read(scratch) {
                Ok(0) if self.reader.close() => return Ok(Progress::Complete { keep: false }),
                Ok(0) => return Err("closed before the end of the answer".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(Progress::Waiting);
                }
                Err(error) => return Err(error.into()),
            };
            *bytes += count as u64;
            let marks = &mut self.marks;
            let taken = self.reader.feed(&scratch[..count], |part| marks.feed(part))?;
            if shot.hang_up_after.is_some_and(|after| self.marks.seen >= after) {
                return Ok(Progress::HungUp);
            }
            if self.reader.done() {
                if taken < count {
                    return Err("bytes after the end of the answer".into());
                }
                return Ok(Progress::Complete { keep: self.reader.keep });
            }
            // A short read has emptied the socket; the next edge tells of more.
            if count < scratch.len() {
                return Ok(Progress::Waiting);
            }
        }
    }
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// `bench load`: one line of JSON about one load.
pub fn command(args: &Args) -> Result<bool> {
    let port = args.number("port", mock::PORT)?;
    let name = args.text("api").unwrap_or_else(|| String::from("openai"));
    let api = wire::find(&name).ok_or_else(|| format!("--api {name:?}: not in the table"))?;
    let translates = !args.flag("untranslated");
    let size = match args.text("body").as_deref() {
        None | Some("1k") => Size::Small,
        Some("100k") => Size::Large,
        Some(other) => return Err(format!("--body {other:?}: 1k or 100k").into()),
    };
    let stream = args.flag("stream");
    let chunks = if stream { args.number("chunks", 200)? } else { 0 };
    let conns = args.number("conns", 16)?;
    let pace = match args.number("rate", 0.0)? {
        per_second if per_second > 0.0 => Pace::Open { per_second },
        _ => Pace::Closed { stagger: Duration::ZERO },
    };
    let warm = Duration::from_secs_f64(args.number("warm", 1.0)?);
    let window = Duration::from_secs_f64(f64::min(args.number("secs", 3.0)?, 600.0));
    let pid = args.number("pid", 0)?;
    args.finish()?;
    let shots = [Shot::chat(port, api, size, chunks, translates)];
    let mut load = Load::new(port, conns, pace, &shots, |_| 0)?;
    load.drive(Instant::now() + warm)?;
    load.reset();
    let before = Sample::take(pid, &[]);
    load.drive(Instant::now() + window)?;
    let usage = Sample::take(pid, &[]).since(&before);
    let mut counts = std::mem::take(&mut load.counts);
    load.drain(Duration::from_secs(3))?;
    let units = if stream { counts.chunks } else { counts.done };
    let seconds = usage.wall.as_secs_f64();
    let report = json!({
        "requests_per_second": counts.done as f64 / seconds,
        "chunks_per_second": counts.chunks as f64 / seconds,
        "errors": counts.errors,
        "short": counts.short,
        "first_error": counts.first_error,
        "p50_us": counts.percentile(0.5),
        "p99_us": counts.percentile(0.99),
        "cpu_us": (pid != 0).then(|| usage.gateway.as_secs_f64() * 1e6 / units.max(1) as f64),
    });
    println!("{report}");
    Ok(counts.errors == 0 && counts.short == 0)
}
