// A request on its way through both roles, callback by callback, as Envoy makes them.

import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { Host, pack } from './host.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const GATEWAY = 1;
const PROVIDERS = { openai: 2, anthropic: 3 };

const encoder = new TextEncoder();

export const MODULE = process.env.WAYPOST_WASM
  ?? path.join(HERE, '../../target/wasm32-wasip1/release/waypost.wasm');

/** A gateway with two providers, everything that is on by default, and a tenant with limits and a budget. */
export function gateway() {
  const host = new Host(MODULE);
  host.configure(GATEWAY, JSON.parse(fs.readFileSync(path.join(HERE, 'gateway.json'), 'utf8')));
  for (const [provider, root] of Object.entries(PROVIDERS)) host.configure(root, { role: 'provider', provider });
  return host;
}

/** A chat of about a kilobyte. */
export function chat(model, more = {}) {
  const messages = [
    { role: 'system', content: `You are "brief".\n${'word '.repeat(80)}` },
    { role: 'user', content: `Hello é ${'text '.repeat(90)}` },
  ];
  return encoder.encode(JSON.stringify({ model, messages, max_tokens: 512, ...more }));
}

export const ANSWERS = {
  openai: encoder.encode(JSON.stringify({
    id: 'chatcmpl-1', object: 'chat.completion', created: 1_700_000_000, model: 'gpt',
    choices: [{ index: 0, message: { role: 'assistant', content: 'word '.repeat(120) }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 231, completion_tokens: 118, total_tokens: 349 },
  })),
  anthropic: encoder.encode(JSON.stringify({
    id: 'msg_1', type: 'message', role: 'assistant', model: 'claude',
    content: [{ type: 'text', text: 'word '.repeat(120) }],
    stop_reason: 'end_turn', stop_sequence: null, usage: { input_tokens: 231, output_tokens: 118 },
  })),
};

/** Events of a stream of OpenAI's, one for each piece of text, and its end. */
export function events(pieces) {
  const event = (value) => encoder.encode(`data: ${value}\n\n`);
  const chunk = (more) => event(JSON.stringify({
    id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'gpt', ...more,
  }));
  const said = (delta, finish_reason = null) => chunk({ choices: [{ index: 0, delta, finish_reason }] });
  return [
    said({ role: 'assistant', content: '' }),
    ...pieces.map((content) => said({ content })),
    said({}, 'stop'),
    chunk({ choices: [], usage: { prompt_tokens: 231, completion_tokens: pieces.length, total_tokens: 231 + pieces.length } }),
    event('[DONE]'),
  ];
}

let contexts = 100;

/** A client's request, and the attempts at answering it. */
export class Exchange {
  constructor(host, body, { key = 'wp-bench' } = {}) {
    this.host = host;
    this.body = body;
    this.key = key;
    this.told = [];
    this.gateway = contexts++;
    this.provider = null;
  }

  /** One callback: what it was, and the calls that the module made in it. */
  #call(role, what, context, ...values) {
    const { host } = this;
    host.calls.length = 0;
    host.now += 1;
    const result = host.module[`proxy_on_${what}`](context, ...values);
    if (host.noting) this.told.push({ callback: `${role}: ${what.replaceAll('_', ' ')}`, calls: [...host.calls] });
    return result;
  }

  /** The client sends all of it. */
  ask() {
    const { host } = this;
    this.#call('gateway', 'context_create', this.gateway, GATEWAY);
    host.maps[0] = pack([
      [':authority', 'localhost:8080'], [':path', '/v1/chat/completions'], [':method', 'POST'], [':scheme', 'http'],
      ['authorization', `Bearer ${this.key}`], ['content-type', 'application/json'],
      ['content-length', String(this.body.length)], ['user-agent', 'OpenAI/Python'], ['accept', 'application/json'],
      ['x-forwarded-proto', 'http'], ['x-request-id', 'a62fa751-f547-4261-bdae-69c80b3c499a'],
    ]);
    this.#call('gateway', 'request_headers', this.gateway, 11, 0);
    if (host.reply !== null) return this;
    host.buffers[0] = this.body;
    this.#call('gateway', 'request_body', this.gateway, this.body.length, 1);
    return this;
  }

  /** Envoy opens an attempt at a provider. */
  attempt(provider) {
    this.provider = contexts++;
    this.#call('provider', 'context_create', this.provider, PROVIDERS[provider]);
    this.#call('provider', 'request_headers', this.provider, 14, 0);
    this.host.buffers[0] = this.body;
    this.#call('provider', 'request_body', this.provider, this.body.length, 1);
    return this;
  }

  /** The provider's headers come. */
  headers(status, type, more = []) {
    const headers = [[':status', String(status)], ['content-type', type], ...more];
    this.host.maps[2] = pack(headers);
    this.#call('provider', 'response_headers', this.provider, headers.length, 0);
    return this;
  }

  /** A piece of the answer's body comes, and goes through both roles unless one holds it back. */
  bytes(body, end) {
    const { host } = this;
    host.buffers[1] = body;
    const held = this.#call('provider', 'response_body', this.provider, body.length, end ? 1 : 0) !== 0;
    if (held) return this;
    if (!this.answering) {
      this.answering = true;
      this.#call('gateway', 'response_headers', this.gateway, 14, 0);
    }
    this.#call('gateway', 'response_body', this.gateway, host.buffers[1].length, end ? 1 : 0);
    return this;
  }

  /** An answer of the provider's that is no success. Envoy goes on to the next without asking the gateway role. */
  fails(status, text) {
    const { host } = this;
    host.buffers[1] = encoder.encode(text);
    this.headers(status, 'application/json', [['content-length', String(text.length)]]);
    this.#call('provider', 'response_body', this.provider, text.length, 1);
    return this.done();
  }

  /** The provider's side of an attempt ends. */
  done() {
    this.#call('provider', 'done', this.provider);
    this.#call('provider', 'delete', this.provider);
    return this;
  }

  /** The client's side ends, and is logged. */
  log() {
    this.#call('gateway', 'done', this.gateway);
    this.#call('gateway', 'log', this.gateway);
    this.#call('gateway', 'delete', this.gateway);
    return this;
  }

  /** An attempt at a provider that answers, to the end. */
  whole(provider) {
    const body = ANSWERS[provider];
    this.attempt(provider);
    this.headers(200, 'application/json', [['content-length', String(body.length)], ['x-request-id', 'req_1']]);
    return this.bytes(body, true).done().log();
  }

  /** A stream of the provider's, to the end. */
  stream(provider, pieces) {
    this.attempt(provider).headers(200, 'text/event-stream');
    const all = events(pieces);
    all.forEach((event, at) => this.bytes(event, at + 1 === all.length));
    return this.done().log();
  }

  /** The record of the request, which the access log gets. */
  record() {
    return JSON.parse(new TextDecoder().decode(this.host.filterState.get('waypost_record')));
  }

  /** What became of each attempt, by the record. */
  outcomes() {
    return this.record().attempts.map(({ outcome }) => outcome);
  }
}
