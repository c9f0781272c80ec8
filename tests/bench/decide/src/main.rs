//! Prints what a decision costs natively, by each strategy, in nanoseconds: `NAME<tab>NS` a line.
//! `native COUNT ROUNDS`: the median of so many rounds of so many decisions.

/// CPU that the kernel accounts to this thread: others may be at work on the machine.
fn spent() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

fn main() {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u32>().unwrap_or(1).max(1));
    let (count, rounds) = (words.next().unwrap_or(1), words.next().unwrap_or(1));
    for (at, name) in decide::STRATEGIES.iter().enumerate() {
        let scene = decide::Scene::new(at);
        let mut times: Vec<f64> = (0..rounds)
            .map(|_| {
                let began = spent();
                std::hint::black_box(scene.decide(count));
                (spent() - began) as f64 / f64::from(count)
            })
            .collect();
        times.sort_by(f64::total_cmp);
        println!("{name}\t{:.0}", times[times.len() / 2]);
    }
}
