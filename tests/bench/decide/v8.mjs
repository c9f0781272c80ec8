// Prints what a decision costs in V8, by each strategy in its place, in nanoseconds.
// CPU that the kernel accounts to this thread: others may be at work on the machine.
// node --no-liftoff v8.mjs MODULE COUNT ROUNDS: the median of so many rounds of so many decisions.
import { readFileSync } from "node:fs";

const spent = () => BigInt(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[0]);
const [path, count, rounds] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(path), {});
const { strategies, prepare, decide } = instance.exports;
for (let at = 0; at < strategies(); at += 1) {
  prepare(at);
  if (decide(10) === 0) throw new Error(`nothing was decided by strategy ${at}`);
  const times = [];
  for (let round = 0; round < Number(rounds); round += 1) {
    const began = spent();
    decide(Number(count));
    times.push(Number(spent() - began) / Number(count));
  }
  times.sort((one, other) => one - other);
  console.log(Math.round(times[Math.floor(times.length / 2)]));
}
