//! The few things the standard library has no word for: epoll, affinity, signals, POSIX regex.
//! The only file with unsafe code.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C or a request to end has come. Every loop of the tool asks.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn on_signal(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// The first signal asks the tool to stop, the second one ends it at once: the processes it
/// started die with it either way.
pub fn catch_signals() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic; an all-zero sigaction is valid.
        let done = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESETHAND;
            libc::sigaction(signal, &action, ptr::null_mut())
        };
        check(done)?;
    }
    Ok(())
}

/// Binds the calling process (and what it starts from now on) to one core.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: an all-zero cpu_set_t is the empty set; CPU_SET ignores a core out of range.
    check(unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    })
}

/// Makes `command` start on `core`, in a process group of its own (Ctrl-C is ours to handle), and
/// die with this process, however this one ends.
pub fn bind_child(command: &mut Command, core: usize) {
    command.process_group(0);
    // SAFETY: between fork and exec only async-signal-safe calls are made.
    unsafe {
        command.pre_exec(move || {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            pin(core)
        });
    }
}

pub fn pause(pid: u32) -> io::Result<()> {
    kill(pid, libc::SIGSTOP)
}

pub fn resume(pid: u32) -> io::Result<()> {
    kill(pid, libc::SIGCONT)
}

fn kill(pid: u32, signal: libc::c_int) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: no memory is involved; the pid is that of a child not yet waited for.
    check(unsafe { libc::kill(pid, signal) })
}

/// Edge-triggered readiness of sockets, each known by a token.
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: a fresh descriptor is owned by nobody else.
        unsafe {
            let fd = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            check(fd)?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    pub fn add(&self, socket: &impl AsRawFd, token: usize) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        let mut event = libc::epoll_event { events: events as u32, u64: token as u64 };
        // SAFETY: `event` lives through the call.
        check(unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &mut event)
        })
    }

    /// Waits at most `timeout` and puts the tokens that became ready into `ready`.
    pub fn wait(&self, timeout: Duration, ready: &mut Vec<usize>) -> io::Result<()> {
        const BATCH: usize = 256;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let timeout = libc::timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(1),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        // SAFETY: the kernel writes at most BATCH events into `events`; no signal mask is given.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                BATCH as libc::c_int,
                &timeout,
                ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        ready.clear();
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
        }
        ready.extend(events.iter().take(count as usize).map(|event| event.u64 as usize));
        Ok(())
    }
}

/// A POSIX extended regular expression, by the C library.
pub struct Regex(Box<libc::regex_t>);

impl Regex {
    pub fn new(pattern: &str) -> io::Result<Self> {
        let text = CString::new(pattern).map_err(io::Error::other)?;
        let mut compiled = Box::new(MaybeUninit::<libc::regex_t>::zeroed());
        // SAFETY: regcomp initialises what it is given, or returns an error.
        unsafe {
            let flags = libc::REG_EXTENDED | libc::REG_NOSUB;
            if libc::regcomp(compiled.as_mut_ptr(), text.as_ptr(), flags) != 0 {
                return Err(io::Error::other(format!("{pattern:?}: not a regular expression")));
            }
            Ok(Self(compiled.assume_init()))
        }
    }

    pub fn is_match(&self, text: &str) -> bool {
        let Ok(text) = CString::new(text) else { return false };
        // SAFETY: compiled by `new`; no match positions are asked for.
        unsafe { libc::regexec(&*self.0, text.as_ptr(), 0, ptr::null_mut(), 0) == 0 }
    }
}

impl Drop for Regex {
    fn drop(&mut self) {
        // SAFETY: compiled by `new`, freed once.
        unsafe { libc::regfree(&mut *self.0) }
    }
}

fn check(status: libc::c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
