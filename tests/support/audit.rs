//! Records of requests as a gateway writes them, of any number, always the same.
#![expect(clippy::indexing_slicing, reason = "the places come from the lists of this file")]

use std::fmt::Write as _;

const TENANTS: [(&str, &str, &str); 6] = [
    ("search", "discovery", "gold"),
    ("support-bot", "care", "gold"),
    ("translate", "content", "silver"),
    ("code-review", "platform", "silver"),
    ("data-science", "platform", "bronze"),
    ("demo", "sales", "bronze"),
];

/// Provider, endpoint, model, and nano-dollars for a token of input, of cached input and of output.
type Offer = (&'static str, &'static str, &'static str, Option<[u64; 3]>);

const OFFERS: [Offer; 6] = [
    ("openai", "openai_eu", "gpt-4o", Some([2_500, 1_250, 10_000])),
    ("openai", "openai_eu", "gpt-4o-mini", Some([150, 75, 600])),
    ("claude", "anthropic", "claude-sonnet-4-5", Some([3_000, 300, 15_000])),
    ("claude", "anthropic", "claude-haiku-4-5", Some([1_000, 100, 5_000])),
    ("vertex", "vertex_eu", "gemini-2.5-pro", Some([1_250, 310, 10_000])),
    ("house", "vllm", "llama-house-70b", None),
];

/// Appends the record with that number, of so many in the first 21 days of November 2026, and a line
/// break.
pub fn write(number: u64, of: u64, out: &mut String) {
    let mut chance = Chance(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
    let (tenant, team, tier) = TENANTS[chance.below(36).isqrt() as usize];
    let user = chance.below(5_000);
    let milliseconds = number * (21 * 86_400_000) / of.max(1);
    let (day, clock) = (1 + milliseconds / 86_400_000, milliseconds % 86_400_000);
    let (hour, minute) = (clock / 3_600_000, clock / 60_000 % 60);
    let (second, fraction) = (clock / 1_000 % 60, clock % 1_000);
    let first = chance.below(6) as usize;
    let failed = chance.below(50) == 0;
    let answers = if failed { (first + 2) % 6 } else { first };
    let refused = chance.below(200) == 0;
    let estimated = chance.below(40) == 0;
    let (input, output) = (200 + chance.below(4_000), 50 + chance.below(900));
    let cached = if chance.below(3) == 0 { input / 2 } else { 0 };
    let (provider, endpoint, model, rates) = OFFERS[answers];
    let nanos = rates
        .map(|[fresh, read, written]| (input - cached) * fresh + cached * read + output * written);
    let usd = |nanos: Option<u64>| match nanos {
        Some(nanos) => format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000),
        None => "null".to_owned(),
    };
    let (input, output, cached, cost) =
        if refused { (0, 0, 0, usd(Some(0))) } else { (input, output, cached, usd(nanos)) };
    let status = if refused { 429 } else { 200 };
    let milliseconds = 180 + output * 7;
    let flag =
        |name: &str, set: bool| if set { format!(r#""{name}":true,"#) } else { String::new() };
    let (mark, no_price) =
        (flag("estimated", estimated && !refused), flag("unpriced", nanos.is_none() && !refused));
    let _ = write!(
        out,
        r#"{{"v":2,"time":"2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z","request_id":"{:016x}-{number:08x}","tenant":"{tenant}","team":"{team}","user":"user-{user:04}","application":"web","tier":"{tier}","key_id":"{tenant}-2026","proof":"key","route":"default","requested_model":"{model}","operation":"chat","stream":true,"provider_chosen":"{provider}","model":"{model}","fallback_used":{failed},"cache_hit":false,"status":{status},"input_tokens":{input},"output_tokens":{output},"cached_tokens":{cached},"cache_write_tokens":0,"reasoning_tokens":0,{mark}"cost_usd":{cost},{no_price}"latency_ms":{milliseconds},"timings":{{"gateway_us":61,"network_ms":4,"inference_ms":{milliseconds},"first_token_ms":180}},"cache":"off","guard":"off","request_bytes":{},"answer_bytes":{},"warnings":[],"#,
        chance.next(),
        input * 4,
        output * 4,
    );
    if refused {
        out.push_str(r#""refused":{"status":429,"class":"rate_limited","code":"rate_limit_exceeded","limit":"tokens_per_minute"},"attempts":[],"skipped":[]}"#);
        out.push('\n');
        return;
    }
    out.push_str(r#""attempts":["#);
    if failed {
        let (provider, endpoint, model, _) = OFFERS[first];
        let _ = write!(
            out,
            r#"{{"provider":"{provider}","endpoint":"{endpoint}","model":"{model}","rule":"default","at_ms":0,"ms":120,"outcome":"failed","status":503,"class":"overloaded","reason":"503 busy","input_tokens":0,"output_tokens":0,"cost_usd":0.000000000,"key_id":"KEY"}},"#
        );
    }
    let _ = writeln!(
        out,
        r#"{{"provider":"{provider}","endpoint":"{endpoint}","model":"{model}","rule":"default","at_ms":0,"ms":{milliseconds},"first_token_ms":180,"outcome":"answered","status":200,"input_tokens":{input},"output_tokens":{output},"cached_tokens":{cached},"cache_write_tokens":0,"reasoning_tokens":0,{mark}"cost_usd":{cost},{no_price}"key_id":"KEY","provider_request_id":"req_{:016x}"}}],"skipped":[]}}"#,
        chance.next(),
    );
}

/// Numbers that look like chance (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
