// How often the module calls its host for a request, in which order: a call costs what a kilobyte of JSON does.
// `UPDATE=1 node --test tests/calls/calls.test.mjs` writes the goldens anew; then look at what changed.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { ANSWERS, Exchange, chat, gateway } from './exchange.mjs';

const GOLDEN = fileURLToPath(new URL('golden', import.meta.url));

const OVERLOADED = '{"error":{"message":"The server is overloaded.","type":"server_error"}}';

/** The last of several exchanges alike: what is asked for once per worker, or once for many requests, has been asked for. */
function warm(one) {
  const host = gateway();
  for (let round = 0; round < 3; round++) {
    host.now += 500;
    host.module.proxy_on_tick(1);
    one(host);
  }
  return one(host);
}

function holds(name, exchange) {
  const calls = exchange.told.reduce((sum, { calls }) => sum + calls.length, 0);
  const lines = exchange.told.filter(({ calls }) => calls.length > 0)
    .flatMap(({ callback, calls }) => [callback, ...calls.map((call) => `    ${call}`)]);
  const text = `${[`${calls} calls in ${exchange.told.length} callbacks`, '', ...lines].join('\n')}\n`;
  const file = path.join(GOLDEN, `${name}.txt`);
  if (process.env.UPDATE) fs.writeFileSync(file, text);
  assert.equal(text, fs.readFileSync(file, 'utf8'));
}

test('a chat makes these calls', () => {
  const exchange = warm((host) => new Exchange(host, chat('first')).ask().whole('openai'));
  assert.deepEqual(exchange.outcomes(), ['answered']);
  assert.deepEqual(Buffer.from(exchange.host.buffers[1]), Buffer.from(ANSWERS.openai));
  holds('chat', exchange);
});

test('a chat in another dialect makes one more, for the body of the answer', () => {
  const exchange = warm((host) => new Exchange(host, chat('second')).ask().whole('anthropic'));
  assert.deepEqual(exchange.outcomes(), ['answered']);
  holds('translated', exchange);
});

test('an event of a stream that says nothing new is one call', () => {
  const body = chat('first', { stream: true });
  const exchange = warm((host) => new Exchange(host, body).ask().stream('openai', ['a', 'b', 'c']));
  assert.deepEqual(exchange.outcomes(), ['answered']);
  assert.equal(exchange.record().output_tokens, 3);
  holds('stream', exchange);
});

test('a failover makes these calls', () => {
  const failed = (host) => new Exchange(host, chat('first')).ask().attempt('openai').fails(503, OVERLOADED);
  const exchange = warm((host) => failed(host).whole('anthropic'));
  assert.deepEqual(exchange.outcomes(), ['failed', 'answered']);
  holds('failover', exchange);
});

test('a key that nobody has is refused with these calls', () => {
  const exchange = warm((host) => new Exchange(host, chat('first'), { key: 'wp-nobody' }).ask().log());
  assert.equal(exchange.host.reply.status, 401);
  holds('refused', exchange);
});
