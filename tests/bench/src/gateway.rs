//! The processes under test and around it: started on a core, paused, resumed, always stopped.

use crate::http::{Kind, Reader};
use crate::{Result, cpu, mock, sys};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest time from the start of an Envoy to its first good answer.
const START: Duration = Duration::from_secs(60);

/// How much of the end of a gateway's log is shown when it fails, in bytes.
const LAST_WORDS: u64 = 4096;

/// A child that does not outlive its owner, whatever ends it.
pub struct Process(Child);

impl Process {
    fn start(mut command: Command, core: usize) -> Result<Self> {
        sys::bind_child(&mut command, core);
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).spawn();
        Ok(Self(child.map_err(|error| format!("{name}: {error}"))?))
    }

    /// The mock provider as a process of its own.
    pub fn mock(core: usize) -> Result<Self> {
        refuse_taken(mock::PORT)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("mock");
        let mock = Self::start(command, core)?;
        let started = Instant::now();
        while mock::counts().is_err() {
            if started.elapsed() > Duration::from_secs(5) {
                return Err("the mock provider does not answer".into());
            }
            sleep(Duration::from_millis(10));
        }
        Ok(mock)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL also ends a process that is paused. Errors mean that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How an Envoy is started.
pub struct Setup {
    /// What to call it in messages.
    pub name: &'static str,
    pub envoy: PathBuf,
    pub config: PathBuf,
    pub port: u16,
    /// Moves the listener of the configuration to `port` from this one.
    pub moved_from: Option<u16>,
    pub core: usize,
}

/// An Envoy that has given its first good answer.
pub struct Gateway {
    process: Process,
    pub name: &'static str,
    pub port: u16,
    /// From its start to its first answer with status 200.
    pub first_answer: Duration,
    log: File,
}

impl Gateway {
    pub fn start(setup: &Setup, request: &[u8]) -> Result<Self> {
        refuse_taken(setup.port)?;
        let text = std::fs::read_to_string(&setup.config)
            .map_err(|error| format!("{}: {error}", setup.config.display()))?;
        let log = anonymous_file(setup.name)?;
        let mut command = Command::new(&setup.envoy);
        match setup.moved_from {
            None => command.arg("-c").arg(&setup.config),
            Some(from) => {
                command.arg("--config-yaml").arg(text.replace(
                    &format!("port_value: {from}"),
                    &format!("port_value: {}", setup.port),
                ))
            }
        };
        command
            .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"])
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?);
        let started = Instant::now();
        let process = Process::start(command, setup.core)?;
        let mut gateway =
            Self { process, name: setup.name, port: setup.port, first_answer: Duration::ZERO, log };
        gateway.await_first_answer(started, request)?;
        Ok(gateway)
    }

    fn await_first_answer(&mut self, started: Instant, request: &[u8]) -> Result<()> {
        loop {
            let outcome = fetch(self.port, request);
            self.first_answer = started.elapsed();
            if matches!(outcome, Ok((200, _))) {
                return Ok(());
            }
            let ended = self.process.0.try_wait()?;
            if ended.is_none() && self.first_answer < START && !sys::interrupted() {
                sleep(Duration::from_millis(2));
                continue;
            }
            let what = match (ended, outcome) {
                (Some(status), _) => format!("ended with {status}"),
                (None, Ok((status, body))) => {
                    format!("answers {status}: {}", String::from_utf8_lossy(&body))
                }
                (None, Err(error)) => error.to_string(),
            };
            return Err(format!("{}: {what}\n{}", self.name, self.last_words()).into());
        }
    }

    /// The end of what it wrote to its log.
    pub fn last_words(&self) -> String {
        let length = self.log.metadata().map_or(0, |file| file.len());
        let mut bytes = vec![0; LAST_WORDS.min(length) as usize];
        let count = self.log.read_at(&mut bytes, length.saturating_sub(LAST_WORDS)).unwrap_or(0);
        let log = String::from_utf8_lossy(&bytes[..count]);
        let lines: Vec<&str> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn resident_kb(&self) -> Result<u64> {
        cpu::resident_kb(self.pid())
            .ok_or_else(|| format!("{} has ended\n{}", self.name, self.last_words()).into())
    }

    pub fn pause(&self) -> Result<()> {
        Ok(sys::pause(self.pid())?)
    }

    pub fn resume(&self) -> Result<()> {
        Ok(sys::resume(self.pid())?)
    }
}

/// A file without a name: it goes with the last process that has it open.
fn anonymous_file(name: &str) -> Result<File> {
    let path =
        std::env::temp_dir().join(format!("waypost-bench-{}-{name}.log", std::process::id()));
    let file = File::options().create_new(true).read(true).append(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// One request over a connection of its own: status and body.
pub fn fetch(port: u16, request: &[u8]) -> Result<(u16, Vec<u8>)> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.write_all(request)?;
    let mut reader = Reader::new(Kind::Response);
    let (mut body, mut buffer) = (Vec::new(), [0; 64 * 1024]);
    while !reader.done() {
        let count = socket.read(&mut buffer)?;
        if count == 0 && !reader.close() {
            return Err("closed before the end of the answer".into());
        }
        reader.feed(&buffer[..count], |part| body.extend_from_slice(part))?;
    }
    Ok((reader.status(), body))
}

/// Where Envoy is: the `--envoy` option, else `$ENVOY`, else the `envoy` Python package of the
/// project's virtual environment, else the search path.
pub fn find_envoy(option: Option<String>) -> PathBuf {
    if let Some(path) = option.or_else(|| std::env::var("ENVOY").ok()) {
        return path.into();
    }
    let packages = std::fs::read_dir(".local/venv/lib").into_iter().flatten().flatten();
    packages
        .map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
        .find(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from("envoy"))
}

/// Says so when a file the run needs is not there.
pub fn require(path: &Path) -> Result<()> {
    if path.exists() { Ok(()) } else { Err(format!("{}: no such file", path.display()).into()) }
}

/// Envoy shares ports between processes, so a taken port would go unnoticed and falsify the run.
fn refuse_taken(port: u16) -> Result<()> {
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Err(format!("something listens on port {port} already").into()),
        Err(_) => Ok(()),
    }
}
