//! The mock provider: one thread, one epoll, HTTP/1.1 on the loopback.
//!
//! `GET /mock?chunks=200&interval_us=0&latency_us=0` sets how streams and answers are sent;
//! `GET /mock` tells the settings and how many requests of each kind have come.

use crate::args::Args;
use crate::http::{Kind, Reader};
use crate::marks::MAX_MARKS;
use crate::sys::{self, Epoll};
use crate::wire::{self, APIS, Api, Stream};
use crate::{Result, gateway};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Where the gateways' configurations look for the providers.
pub const PORT: u16 = 9101;

/// Largest request body read, in bytes.
const MAX_BODY: usize = 8 << 20;
const LISTENER: usize = usize::MAX;

/// Runs until interrupted.
pub fn command(args: &Args) -> Result<bool> {
    let port = args.number("port", PORT)?;
    args.finish()?;
    Mock::new(port)?.serve()?;
    Ok(true)
}

/// Sets a running mock's behaviour.
pub fn set(settings: &Settings) -> Result<()> {
    let Settings { chunks, interval, latency } = settings;
    let (interval, latency) = (interval.as_micros(), latency.as_micros());
    let target = format!("/mock?chunks={chunks}&interval_us={interval}&latency_us={latency}");
    gateway::fetch(PORT, format!("GET {target} HTTP/1.1\r\nhost: mock\r\n\r\n").as_bytes())?;
    Ok(())
}

/// How many requests of each kind have come.
pub fn counts() -> Result<BTreeMap<String, u64>> {
    let (_, body) = gateway::fetch(PORT, b"GET /mock HTTP/1.1\r\nhost: mock\r\n\r\n")?;
    Ok(serde_json::from_slice(&body)?)
}

pub struct Settings {
    /// Content deltas of a stream.
    pub chunks: usize,
    /// Time between two of them; zero: as fast as the turn comes round.
    pub interval: Duration,
    /// Time before an answer begins.
    pub latency: Duration,
}

struct Mock {
    listener: TcpListener,
    epoll: Epoll,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
    busy: Vec<usize>,
    settings: Settings,
    /// By the place of the API in the table: how many answers, how many streams.
    served: Vec<[u64; 2]>,
    /// By the same: the JSON answer.
    answers: Vec<Vec<u8>>,
    scratch: Vec<u8>,
    event: Vec<u8>,
}

struct Conn {
    socket: TcpStream,
    reader: Reader,
    body: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    work: Work,
}

enum Work {
    Idle,
    Answer { due: Instant, place: usize },
    Stream { due: Instant, step: usize, stream: Stream },
}

impl Mock {
    fn new(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .map_err(|error| format!("mock: port {port}: {error}"))?;
        listener.set_nonblocking(true)?;
        let epoll = Epoll::new()?;
        epoll.add(&listener, LISTENER)?;
        Ok(Self {
            listener,
            epoll,
            conns: Vec::new(),
            free: Vec::new(),
            busy: Vec::new(),
            settings: Settings { chunks: 200, interval: Duration::ZERO, latency: Duration::ZERO },
            served: vec![[0; 2]; APIS.len()],
            answers: APIS.iter().map(Api::answer).collect(),
            scratch: vec![0; 256 * 1024],
            event: Vec::with_capacity(1024),
        })
    }

    fn serve(&mut self) -> Result<()> {
        let mut ready = Vec::new();
        while !sys::interrupted() {
            self.epoll.wait(self.until_next_due(), &mut ready)?;
            for token in &ready {
                if *token == LISTENER {
                    self.accept()?;
                } else {
                    self.advance(*token);
                }
            }
            self.turn();
        }
        Ok(())
    }

    fn until_next_due(&self) -> Duration {
        let now = Instant::now();
        let due = |index: &usize| match self.conns.get(*index)?.as_ref()? {
            // A write is under way: epoll tells when it can go on.
            conn if conn.sent < conn.out.len() => None,
            Conn { work: Work::Answer { due, .. } | Work::Stream { due, .. }, .. } => Some(*due),
            Conn { work: Work::Idle, .. } => None,
        };
        let next = self.busy.iter().filter_map(due).min();
        next.map_or(Duration::from_millis(500), |due| due.saturating_duration_since(now))
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            self.epoll.add(&socket, index)?;
            self.conns[index] = Some(Conn {
                socket,
                reader: Reader::new(Kind::Request),
                body: Vec::new(),
                out: Vec::new(),
                sent: 0,
                work: Work::Idle,
            });
        }
    }

    /// Writes and reads what a connection is ready for; forgets it when it has ended.
    fn advance(&mut self, index: usize) {
        let Some(mut conn) = self.conns.get_mut(index).and_then(Option::take) else { return };
        match self.exchange(&mut conn, index) {
            Ok(()) => self.conns[index] = Some(conn),
            Err(_) => {
                self.busy.retain(|other| *other != index);
                self.free.push(index);
            }
        }
    }

    fn exchange(&mut self, conn: &mut Conn, index: usize) -> Result<()> {
        conn.flush()?;
        loop {
            let count = match conn.socket.read(&mut self.scratch) {
                Ok(0) => return Err("closed".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let body = &mut conn.body;
            let taken =
                conn.reader.feed(&self.scratch[..count], |part| body.extend_from_slice(part))?;
            if taken < count || conn.body.len() > MAX_BODY || !matches!(conn.work, Work::Idle) {
                return Err("a pipelined request or one too large".into());
            }
            if conn.reader.done() {
                self.respond(conn)?;
                conn.reader.reset();
                conn.body.clear();
                if !matches!(conn.work, Work::Idle) {
                    self.busy.push(index);
                }
            }
            if count < self.scratch.len() {
                return Ok(());
            }
        }
    }

    fn respond(&mut self, conn: &mut Conn) -> Result<()> {
        let target = conn.reader.target();
        let Some((place, api)) = wire::asked(&conn.reader.host, target) else {
            let reply = if target.starts_with("/mock") {
                self.control(target)
            } else {
                wire::plain("404 Not Found", "", r#"{"error":{"message":"no such path"}}"#)
            };
            return conn.send(&reply);
        };
        let streams = api.streams(target, &conn.body);
        self.served[place][usize::from(streams)] += 1;
        let due = Instant::now() + self.settings.latency;
        if streams {
            let usage = wire::asks_for(&conn.body, "include_usage");
            let stream = Stream { api, chunks: self.settings.chunks, usage };
            conn.work = Work::Stream { due, step: 0, stream };
        } else if self.settings.latency.is_zero() {
            conn.send(&self.answers[place])?;
        } else {
            conn.work = Work::Answer { due, place };
        }
        Ok(())
    }

    fn control(&mut self, target: &str) -> Vec<u8> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let Ok(value) = value.parse::<u64>() else { continue };
            match name {
                "chunks" => self.settings.chunks = (value as usize).min(MAX_MARKS),
                "interval_us" => self.settings.interval = Duration::from_micros(value),
                "latency_us" => self.settings.latency = Duration::from_micros(value),
                _ => {}
            }
        }
        let mut state = serde_json::json!({
            "chunks": self.settings.chunks,
            "interval_us": self.settings.interval.as_micros() as u64,
            "latency_us": self.settings.latency.as_micros() as u64,
        });
        for (api, [answers, streams]) in APIS.iter().zip(&self.served) {
            state[api.name] = (*answers).into();
            state[format!("{}_stream", api.name)] = (*streams).into();
        }
        wire::plain("200 OK", "", &state.to_string())
    }

    /// Gives each busy connection whose time has come one write: streams take turns.
    fn turn(&mut self) {
        let now = Instant::now();
        let mut at = 0;
        while let Some(&index) = self.busy.get(at) {
            let Some(mut conn) = self.conns.get_mut(index).and_then(Option::take) else {
                self.busy.swap_remove(at);
                continue;
            };
            match self.produce(&mut conn, now) {
                Err(_) => {
                    self.busy.swap_remove(at);
                    self.free.push(index);
                    continue;
                }
                Ok(()) if matches!(conn.work, Work::Idle) => {
                    self.busy.swap_remove(at);
                }
                Ok(()) => at += 1,
            }
            self.conns[index] = Some(conn);
        }
    }

    fn produce(&mut self, conn: &mut Conn, now: Instant) -> Result<()> {
        if conn.sent < conn.out.len() {
            return Ok(());
        }
        match &mut conn.work {
            Work::Answer { due, place } if *due <= now => {
                let place = *place;
                conn.work = Work::Idle;
                conn.send(&self.answers[place])
            }
            Work::Stream { due, step, stream } if *due <= now => {
                if *step == 0 {
                    stream.head(&mut conn.out);
                }
                let more = stream.step(*step, &mut self.event, &mut conn.out);
                *step += 1;
                *due += self.settings.interval;
                if !more {
                    conn.work = Work::Idle;
                }
                conn.flush()
            }
            _ => Ok(()),
        }
    }
}

impl Conn {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.extend_from_slice(bytes);
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }
}
