// The gateway that tests/sdk/stage.py starts, and its fake providers.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("../stage.py", import.meta.url));

/** Starts it. `$PYTHON` has the packages of tests/e2e/requirements.txt. */
export async function start() {
  const process_ = spawn(process.env.PYTHON ?? "python3", [SCRIPT], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: process_.stdout });
  const [line] = await Promise.race([
    once(lines, "line"),
    once(process_, "exit").then(([code]) => Promise.reject(new Error(`stage.py ended with ${code}`))),
  ]);
  const { port, fakes, providers } = JSON.parse(line);
  return {
    baseURL: `http://127.0.0.1:${port}/v1`,
    /** As tests/e2e/everyone.py has them: `asked` is a model, `hello` how it begins its answers. */
    providers,
    fake: (api) => new Fake(fakes[api]),
    /** Every fake forgets what it saw, and works again. */
    reset: () => new Fake(Object.values(fakes)[0]).ask("POST", "reset?port=*"),
    async stop() {
      const ended = once(process_, "exit");
      process_.stdin.end();
      await ended;
    },
  };
}

/** A fake provider, through its control endpoints. */
class Fake {
  constructor(port) {
    this.url = `http://127.0.0.1:${port}/fake`;
  }

  async ask(method, what, body) {
    const answer = await fetch(`${this.url}/${what}`, { method, body: body && JSON.stringify(body) });
    return answer.json();
  }

  reset() {
    return this.ask("POST", "reset");
  }

  set(fault, times) {
    return this.ask("POST", "set", { fault, times });
  }

  state() {
    return this.ask("GET", "state");
  }

  /** The body of the last request. */
  async last() {
    return JSON.parse((await this.ask("GET", "last")).body);
  }

  /** Whether nothing is in flight, or stops to be within three seconds. */
  async idle() {
    for (let tries = 0; tries < 150; tries++) {
      if ((await this.state()).in_flight === 0) return true;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return false;
  }
}
