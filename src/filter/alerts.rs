//! Telling people that money runs out: in the log, in the metrics, and to a webhook.
//!
//! ```text
//!  settle ──► Notice ──► outbox of this worker ── tick ──► a line at warn, once
//!                              │                   └─────► POST through the configured cluster
//!                              └── again after 1, 4 and 16 s, then it is given up
//! ```
//!
//! The webhook gets one JSON object; any status from 200 to 299 says that it has it:
//!
//! ```json
//! {"v":1,"text":"Waypost: the tenant \"search\" has used 80% of its budget of the month: 801.25 of 1000.00 USD.",
//!  "alert":"budget","kind":"tenant","name":"search","of":null,"period":"month","share":80,
//!  "spent_usd":801.250000000,"limit_usd":1000.000000000,"at":1790000000000}
//! ```
//!
//! `text` is what Slack and its like show. `alert` is `budget`; `downgraded` and `exhausted` when, for the
//! first time in the period, a request had to be cheaper or was refused; or `anomaly`. `kind` is `tenant`, `team`, `tier`,
//! `user`, `model` or `provider`, and `of` the tenant of a user or a model. `period` is `day` or `month`,
//! and `hour` with an anomaly, of which `limit_usd` is what hours usually cost. Only `budget` has a `share`;
//! that of the others is null. `at` is in milliseconds since 1970. New fields may come; what one means changes only with `v`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write as _;

use crate::config::alerts::Webhook;
use crate::openai::json::write_str;
use crate::providers::catalogue::NanoUsd;
use crate::store::Millis;

/// Most alerts of a worker that wait to be told. What comes beyond is not sent, which is counted: it is
/// in the log only.
pub const MAX_WAITING: usize = 64;

/// Most alerts of a worker between two ticks that get their line. What comes beyond is in the metrics only.
pub const MAX_LINES: usize = 1_024;

/// How often an alert is sent before it is given up.
pub const MAX_TRIES: u32 = 4;

/// How long the webhook has to answer, in milliseconds.
pub const TIMEOUT: Millis = 5_000;

/// Most that are under way at a time.
const MAX_UNDER_WAY: usize = 4;

/// What is told of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whose it is: `tenant`, `team`, …
    pub kind: &'static str,
    /// The name of it.
    pub name: String,
    /// The tenant of a user or a model.
    pub of: Option<String>,
    /// `day`, `month`, or `hour`.
    pub period: &'static str,
    /// What is told of it.
    pub news: News,
    /// What has been spent in the period.
    pub spent: NanoUsd,
    /// The budget of the period, or what is usual.
    pub limit: NanoUsd,
    /// When it was noticed.
    pub at: Millis,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// So many per cent of a budget are used.
    Share(u16),
    /// A request was refused: the first of the period.
    Exhausted,
    /// Only cheaper candidates were asked for a request: the first of the period.
    Downgraded,
    /// An hour costs far more than hours usually do.
    Unusual,
}

impl News {
    /// The word for the webhook and for metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Share(_) => "budget",
            Self::Exhausted => "exhausted",
            Self::Downgraded => "downgraded",
            Self::Unusual => "anomaly",
        }
    }
}

/// A name as it may stand in a log and in a chat: a client that names its own user writes no line there,
/// nor a link or a mention, which stand between `<` and `>`.
fn shown(name: &str) -> String {
    let plain = |c: char| match c {
        '<' => '‹',
        '>' => '›',
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        _ if c.is_control() => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    name.chars().map(plain).collect()
}

impl Notice {
    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("Waypost: the {} \"{}\"", self.kind, shown(&self.name));
        if let Some(of) = &self.of {
            text.push_str(&format!(" of \"{}\"", shown(of)));
        }
        let (spent, limit) = (usd(self.spent), usd(self.limit));
        text.push_str(&match self.news {
            News::Share(share) => format!(
                " has used {share}% of its budget of the {}: {spent} of {limit} USD.",
                self.period
            ),
            News::Exhausted => {
                format!(" has no budget left for a request in this {}: {limit} USD.", self.period)
            }
            News::Downgraded => format!(
                " has used up its budget of the {}, {limit} USD: only cheaper models are asked.",
                self.period
            ),
            News::Unusual => format!(" has spent {spent} USD in this hour; {limit} USD is usual."),
        });
        text
    }

    /// For the webhook.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let mut out = b"{\"v\":1".to_vec();
        let mut text = |name: &str, value: Option<&str>| {
            out.extend_from_slice(name.as_bytes());
            match value {
                Some(value) => write_str(&mut out, value),
                None => out.extend_from_slice(b"null"),
            }
        };
        text(",\"text\":", Some(&self.text()));
        text(",\"alert\":", Some(self.news.word()));
        text(",\"kind\":", Some(self.kind));
        text(",\"name\":", Some(&self.name));
        text(",\"of\":", self.of.as_deref());
        text(",\"period\":", Some(self.period));
        let share = match self.news {
            News::Share(share) => share.to_string(),
            News::Exhausted | News::Downgraded | News::Unusual => "null".to_owned(),
        };
        let (spent, limit) = (self.spent, self.limit);
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            ",\"share\":{share},\"spent_usd\":{spent},\"limit_usd\":{limit},\"at\":{}}}",
            self.at
        );
        out
    }
}

/// US dollars for people: at least two decimals, and no zeros behind those.
#[must_use]
pub fn usd(amount: NanoUsd) -> String {
    let mut text = amount.to_string();
    let least = text.len() - 7;
    while text.len() > least && text.ends_with('0') {
        text.pop();
    }
    text
}

/// An alert on its way.
#[derive(Debug)]
struct Letter {
    text: String,
    body: Vec<u8>,
    to: Option<Webhook>,
    logged: bool,
    tries: u32,
    /// When it is sent, or counts as lost.
    due: Millis,
    /// The number of the call that has it.
    call: Option<u32>,
}

/// What became of an alert for the webhook: a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The webhook has it.
    Sent,
    /// A try failed, and there will be another.
    Failed,
    /// It was given up, or there was no room for it.
    Dropped,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sent, Self::Failed, Self::Dropped];

    /// The word for metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// How an outbox reaches the world.
pub trait Post {
    /// Writes a line for people.
    fn log(&mut self, text: &str);

    /// Sends a body; the number of the call, or nothing when Envoy does not take it.
    fn send(&mut self, to: &Webhook, body: &[u8]) -> Option<u32>;

    /// Counts what became of an alert.
    fn count(&mut self, fate: Fate);
}

/// Alerts of a worker that are still to be told.
#[derive(Debug, Default)]
pub struct Outbox {
    letters: VecDeque<Letter>,
    dropped: u32,
}

impl Outbox {
    /// Takes an alert in. Where there are too many it is not sent.
    pub fn put(&mut self, notice: &Notice, to: Option<&Webhook>) {
        let full = to.is_some() && self.letters.len() >= MAX_WAITING;
        self.dropped += u32::from(full);
        if self.letters.len() >= MAX_LINES {
            return;
        }
        let to = to.filter(|_| !full);
        self.letters.push_back(Letter {
            text: notice.text(),
            body: if to.is_some() { notice.json() } else { Vec::new() },
            to: to.cloned(),
            logged: false,
            tries: 0,
            due: 0,
            call: None,
        });
    }

    /// Tells what is due.
    pub fn tick(&mut self, now: Millis, post: &mut dyn Post) {
        for _ in 0..std::mem::take(&mut self.dropped) {
            post.count(Fate::Dropped);
        }
        let mut under_way = self.letters.iter().filter(|letter| letter.call.is_some()).count();
        self.letters.retain_mut(|letter| {
            if !std::mem::replace(&mut letter.logged, true) {
                post.log(&letter.text);
            }
            let Some(to) = &letter.to else { return false };
            if letter.due > now {
                return true;
            }
            if letter.call.take().is_some() {
                // Its answer went to a context that is no more.
                under_way -= 1;
                return failed(letter, "no answer", now, post);
            }
            if under_way >= MAX_UNDER_WAY {
                return true;
            }
            letter.tries += 1;
            letter.call = post.send(to, &letter.body);
            if letter.call.is_none() {
                return failed(letter, "Envoy has no such cluster, or no host in it", now, post);
            }
            under_way += 1;
            letter.due = now.saturating_add(2 * TIMEOUT);
            true
        });
    }

    /// A call has come to its end: the webhook has the alert, or why it has not.
    pub fn answered(
        &mut self,
        call: u32,
        taken: Result<(), &str>,
        now: Millis,
        post: &mut dyn Post,
    ) {
        self.letters.retain_mut(|letter| {
            if letter.call != Some(call) {
                return true;
            }
            letter.call = None;
            let Err(why) = taken else {
                post.count(Fate::Sent);
                return false;
            };
            failed(letter, why, now, post)
        });
    }
}

/// Whether a letter stays after a try that failed. The line says nothing of the path, which is a secret
/// with some.
fn failed(letter: &mut Letter, why: &str, now: Millis, post: &mut dyn Post) -> bool {
    let again = letter.tries < MAX_TRIES;
    post.count(if again { Fate::Failed } else { Fate::Dropped });
    let wait: Millis = 250 << (2 * letter.tries);
    letter.due = now.saturating_add(wait);
    let to = letter.to.as_ref().map_or("", |to| &to.authority);
    let then = match again {
        true => format!("sent again in {} s", wait / 1_000),
        false => format!("given up after {MAX_TRIES} tries: {}", letter.text),
    };
    post.log(&format!("waypost: alerts: {to}: {why}; {then}"));
    again
}

/// Longest text of Envoy's in a line, in bytes: enough for what TLS did not like.
pub const MAX_WHY_BYTES: usize = 256;

/// Why an alert was not taken. Envoy answers in the place of a host that it could not reach, and says why
/// in the body; what a webhook writes there is not for the log.
#[must_use]
pub fn why(status: u16, body: &[u8]) -> String {
    let envoys =
        [&b"upstream connect error"[..], b"no healthy upstream", b"upstream request timeout"];
    let mut why = format!("status {status}");
    if envoys.iter().any(|begin| body.starts_with(begin)) {
        why.push_str(", as Envoy says: ");
        let plain = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { ' ' };
        why.extend(body.iter().take(MAX_WHY_BYTES).map(plain));
    }
    why
}

thread_local! {
    static OUTBOX: RefCell<Outbox> = RefCell::new(Outbox::default());
}

/// The outbox of this worker. It outlives a configuration: what was noticed under one is told under the
/// next.
pub fn outbox<T>(with: impl FnOnce(&mut Outbox) -> T) -> T {
    OUTBOX.with_borrow_mut(with)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn notice() -> Notice {
        Notice {
            kind: "tenant",
            name: "se\"arch".to_owned(),
            of: None,
            period: "month",
            news: News::Share(80),
            spent: NanoUsd(801_250_000_000),
            limit: NanoUsd(1_000_000_000_000),
            at: 7,
        }
    }

    fn webhook() -> Webhook {
        Webhook { cluster: "c".to_owned(), authority: "a".to_owned(), path: "/".to_owned() }
    }

    #[derive(Default)]
    struct World {
        log: Vec<String>,
        calls: Vec<u32>,
        fates: Vec<Fate>,
        refuses: bool,
    }

    impl Post for World {
        fn log(&mut self, text: &str) {
            self.log.push(text.to_owned());
        }

        fn send(&mut self, _: &Webhook, _: &[u8]) -> Option<u32> {
            let call = self.calls.len() as u32;
            self.calls.push(call);
            (!self.refuses).then_some(call)
        }

        fn count(&mut self, fate: Fate) {
            self.fates.push(fate);
        }
    }

    #[test]
    fn a_notice_is_a_sentence_and_a_document() {
        let text = "Waypost: the tenant \"se\"arch\" has used 80% of its budget of the month: 801.25 of 1000.00 USD.";
        assert_eq!(notice().text(), text);
        let json: serde_json::Value = serde_json::from_slice(&notice().json()).unwrap();
        let wanted = serde_json::json!({
            "v": 1, "text": text, "alert": "budget", "kind": "tenant", "name": "se\"arch", "of": null,
            "period": "month", "share": 80, "spent_usd": 801.25, "limit_usd": 1000.0, "at": 7,
        });
        assert_eq!(json, wanted);
        let odd =
            Notice { news: News::Unusual, period: "hour", of: Some("x".to_owned()), ..notice() };
        let json: serde_json::Value = serde_json::from_slice(&odd.json()).unwrap();
        assert_eq!((&json["alert"], &json["share"]), (&"anomaly".into(), &serde_json::Value::Null));
        assert!(odd.text().ends_with("has spent 801.25 USD in this hour; 1000.00 USD is usual."));
    }

    #[test]
    fn a_user_cannot_forge_a_line_of_the_log_nor_a_mention_in_a_chat() {
        let name = "x\n[critical] <!channel> <http://evil|reset>\u{2028}\u{85}\u{1b}[2J\u{202e}";
        let forged =
            Notice { kind: "user", name: name.to_owned(), of: Some(name.into()), ..notice() };
        let text = forged.text();
        assert!(
            text.starts_with("Waypost: the user \"x\u{fffd}[critical] ‹!channel› ‹http://evil|")
        );
        let plain = |c: char| !(c.is_control() || "<>\u{2028}\u{202e}".contains(c));
        assert!(text.chars().all(plain), "{text:?}");
        // To a program the name is what it is.
        let json: serde_json::Value = serde_json::from_slice(&forged.json()).unwrap();
        assert_eq!((&json["name"], &json["of"]), (&name.into(), &name.into()));
    }

    #[test]
    fn money_has_two_decimals_or_as_many_as_it_needs() {
        for (nano, text) in [
            (0, "0.00"),
            (10_000_000, "0.01"),
            (1_500_000_000, "1.50"),
            (1, "0.000000001"),
            (100_000_000_000, "100.00"),
        ] {
            assert_eq!(usd(NanoUsd(nano)), text);
        }
    }

    #[test]
    fn without_a_webhook_it_is_logged_once_and_gone() {
        let (mut outbox, mut world) = (Outbox::default(), World::default());
        outbox.put(&notice(), None);
        outbox.tick(0, &mut world);
        outbox.tick(1, &mut world);
        assert_eq!((world.log.len(), world.calls.len(), world.fates.len()), (1, 0, 0));
    }

    #[test]
    fn what_fails_is_sent_again_and_given_up_after_the_last_try() {
        let (mut outbox, mut world) = (Outbox::default(), World::default());
        outbox.put(&notice(), Some(&webhook()));
        let mut now = 0;
        for call in 0..MAX_TRIES {
            outbox.tick(now, &mut world);
            outbox.tick(now, &mut world);
            assert_eq!(world.calls.len() as u32, call + 1);
            outbox.answered(call, Err("status 503"), now, &mut world);
            outbox.answered(call, Ok(()), now, &mut world);
            now += 250 << (2 * (call + 1));
        }
        outbox.tick(now * 9, &mut world);
        assert_eq!(world.calls.len() as u32, MAX_TRIES);
        assert_eq!(world.fates, [Fate::Failed, Fate::Failed, Fate::Failed, Fate::Dropped]);
        let failed = |then: &str| format!("waypost: alerts: a: status 503; {then}");
        let again = ["1 s", "4 s", "16 s"].map(|wait| failed(&format!("sent again in {wait}")));
        let last = failed(&format!("given up after 4 tries: {}", notice().text()));
        assert_eq!(world.log, [&[notice().text()][..], &again, &[last]].concat());
    }

    #[test]
    fn what_is_taken_is_not_sent_again() {
        let (mut outbox, mut world) = (Outbox::default(), World::default());
        outbox.put(&notice(), Some(&webhook()));
        outbox.tick(0, &mut world);
        outbox.answered(0, Ok(()), 1, &mut world);
        outbox.tick(99_999, &mut world);
        assert_eq!((world.calls.len(), &*world.fates), (1, &[Fate::Sent][..]));
    }

    #[test]
    fn an_answer_that_nobody_brings_counts_as_a_failure() {
        let (mut outbox, mut world) = (Outbox::default(), World::default());
        outbox.put(&notice(), Some(&webhook()));
        outbox.tick(0, &mut world);
        outbox.tick(2 * TIMEOUT, &mut world);
        outbox.tick(2 * TIMEOUT + 1_000, &mut world);
        assert_eq!((world.calls.len(), &*world.fates), (2, &[Fate::Failed][..]));
    }

    #[test]
    fn there_are_bounds_to_what_waits_and_to_what_is_under_way() {
        let (mut outbox, mut world) = (Outbox::default(), World::default());
        for _ in 0..MAX_WAITING + 3 {
            outbox.put(&notice(), Some(&webhook()));
        }
        outbox.tick(0, &mut world);
        assert_eq!(world.calls.len(), MAX_UNDER_WAY);
        assert_eq!(world.fates, [Fate::Dropped; 3]);
        // Those that are not sent are in the log nevertheless.
        assert_eq!(world.log.len(), MAX_WAITING + 3);
        world.log.clear();
        world.refuses = true;
        outbox.answered(0, Ok(()), 0, &mut world);
        outbox.tick(0, &mut world);
        let left = MAX_WAITING - MAX_UNDER_WAY;
        assert_eq!(world.calls.len(), MAX_UNDER_WAY + left);
        assert!(world.log.len() == left && world.log[0].contains("no such cluster"));
    }

    #[test]
    fn there_is_a_bound_to_the_lines_between_two_ticks() {
        let (mut outbox, mut world) = (Outbox::default(), World::default());
        for _ in 0..MAX_LINES + 2 {
            outbox.put(&notice(), None);
        }
        outbox.tick(0, &mut world);
        assert_eq!((world.log.len(), world.fates.len()), (MAX_LINES, 0));
    }

    #[test]
    fn why_an_alert_was_not_taken_is_in_envoys_words_and_never_in_the_webhooks() {
        assert_eq!(why(500, b"your token abc"), "status 500");
        let tls = b"upstream connect error or disconnect/reset before headers. reason: \nTLS";
        let told = "upstream connect error or disconnect/reset before headers. reason:  TLS";
        assert_eq!(why(503, tls), format!("status 503, as Envoy says: {told}"));
        let long = [&tls[..], &[b'x'; 2 * MAX_WHY_BYTES]].concat();
        let before = "status 503, as Envoy says: ".len();
        assert_eq!(why(503, &long).len(), before + MAX_WHY_BYTES);
    }
}
