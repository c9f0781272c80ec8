// A host for the module that is not Envoy: it answers each call as Envoy 1.40 does and notes it. What is
// shown with it is how often the module calls, in which order, and what its own code costs; what Envoy makes
// of the calls is shown end to end.

import fs from 'node:fs';

const OK = 0;
const NOT_FOUND = 1;
const CAS_MISMATCH = 8;

const MAPS = ['request headers', 'request trailers', 'response headers', 'response trailers'];
const BUFFERS = { 0: 'request body', 1: 'response body', 7: 'configuration' };
const METRICS = ['counter', 'gauge', 'histogram'];

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Headers as the host packs them: a count, all lengths, then all texts with a zero byte behind each. */
export function pack(headers) {
  const texts = headers.flat().map((text) => encoder.encode(text));
  const bytes = new Uint8Array(4 + texts.length * 4 + texts.reduce((sum, text) => sum + text.length + 1, 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, headers.length, true);
  let at = 4 + texts.length * 4;
  texts.forEach((text, place) => {
    view.setUint32(4 + place * 4, text.length, true);
    bytes.set(text, at);
    at += text.length + 1;
  });
  return bytes;
}

/** The pairs of packed headers. */
export function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const count = view.getUint32(0, true);
  let at = 4 + count * 8;
  const text = (place) => {
    const length = view.getUint32(4 + place * 4, true);
    at += length + 1;
    return decoder.decode(bytes.subarray(at - length - 1, at - 1));
  };
  return Array.from({ length: count }, (_, pair) => [text(pair * 2), text(pair * 2 + 1)]);
}

export class Host {
  /** The module with nothing configured. */
  constructor(file) {
    /** The module's calls, while `noting`. */
    this.calls = [];
    this.noting = true;
    /** The time, in milliseconds since 1970: whoever makes a callback moves it on. */
    this.now = 1_700_000_000_000;
    this.logged = [];
    this.shared = new Map();
    this.metrics = [];
    this.filterState = new Map();
    this.maps = {};
    this.buffers = {};
    this.reply = null;
    const module = new WebAssembly.Module(fs.readFileSync(file));
    const known = { env: this.#envoy(), wasi_snapshot_preview1: this.#wasi() };
    const imports = { env: {}, wasi_snapshot_preview1: {} };
    for (const { module: from, name } of WebAssembly.Module.imports(module)) {
      const call = known[from][name] ?? (() => { throw new Error(`the module calls ${name}`); });
      imports[from][name] = call;
    }
    this.module = new WebAssembly.Instance(module, imports).exports;
    this.memory = this.module.memory;
    this.module._initialize();
  }

  /** A root context with a configuration. */
  configure(root, configuration) {
    this.module.proxy_on_context_create(root, 0);
    this.module.proxy_on_vm_start(root, 0);
    this.buffers[7] = encoder.encode(JSON.stringify(configuration));
    if (!this.module.proxy_on_configure(root, this.buffers[7].length)) {
      throw new Error(`refused: ${this.logged.join('\n')}`);
    }
  }

  #bytes(at, length) {
    return new Uint8Array(this.memory.buffer, at, length);
  }

  #text(at, length) {
    return decoder.decode(this.#bytes(at, length));
  }

  /** Gives bytes to the module, in memory of its own. */
  #give(bytes, data, size) {
    const at = bytes.length === 0 ? 0 : this.module.proxy_on_memory_allocate(bytes.length);
    if (at !== 0) this.#bytes(at, bytes.length).set(bytes);
    const view = new DataView(this.memory.buffer);
    view.setUint32(data, at, true);
    view.setUint32(size, bytes.length, true);
    return OK;
  }

  #note(what, which = '') {
    if (this.noting) this.calls.push(which === '' ? what : `${what}: ${which}`);
  }

  #envoy() {
    return {
      proxy_log: (_, at, length) => {
        this.logged.push(this.#text(at, length));
        this.#note('log');
        return OK;
      },
      proxy_define_metric: (kind, at, length, id) => {
        this.#note('define a metric');
        this.metrics.push({ kind, name: this.#text(at, length) });
        new DataView(this.memory.buffer).setUint32(id, this.metrics.length, true);
        return OK;
      },
      proxy_increment_metric: (id) => {
        this.#note('count', this.#series(id));
        return OK;
      },
      proxy_record_metric: (id) => {
        this.#note('record', this.#series(id));
        return OK;
      },
      proxy_get_shared_data: (at, length, data, size, version) => {
        const key = this.#text(at, length);
        this.#note('read shared data', key);
        const known = this.shared.get(key);
        if (known === undefined) return NOT_FOUND;
        new DataView(this.memory.buffer).setUint32(version, known.version, true);
        return this.#give(known.value, data, size);
      },
      proxy_set_shared_data: (at, length, value, size, version) => {
        const key = this.#text(at, length);
        this.#note('write shared data', key);
        const known = this.shared.get(key);
        if (version !== 0 && known !== undefined && known.version !== version) return CAS_MISMATCH;
        this.shared.set(key, { value: this.#bytes(value, size).slice(), version: (known?.version ?? 0) + 1 });
        return OK;
      },
      proxy_get_property: (at, length, data, size) => {
        const path = this.#text(at, length).replaceAll('\0', '.');
        this.#note('read property', path);
        const known = this.filterState.get(path);
        return known === undefined ? NOT_FOUND : this.#give(known, data, size);
      },
      proxy_set_property: (at, length, value, size) => {
        const path = this.#text(at, length).replaceAll('\0', '.');
        this.#note('write property', path);
        this.filterState.set(path, this.#bytes(value, size).slice());
        return OK;
      },
      proxy_get_header_map_pairs: (map, data, size) => {
        this.#note('read', MAPS[map]);
        return this.#give(this.maps[map] ?? pack([]), data, size);
      },
      proxy_set_header_map_pairs: (map, at, length) => {
        this.#note('write', MAPS[map]);
        this.maps[map] = this.#bytes(at, length).slice();
        return OK;
      },
      proxy_replace_header_map_value: (_, at, length) => {
        this.#note('set header', this.#text(at, length));
        return OK;
      },
      proxy_remove_header_map_value: (_, at, length) => {
        this.#note('remove header', this.#text(at, length));
        return OK;
      },
      proxy_get_buffer_bytes: (buffer, start, length, data, size) => {
        this.#note('read', BUFFERS[buffer]);
        const bytes = this.buffers[buffer] ?? new Uint8Array();
        return this.#give(bytes.subarray(start, Math.min(bytes.length, start + (length >>> 0))), data, size);
      },
      proxy_set_buffer_bytes: (buffer, start, length, at, size) => {
        this.#note('write', BUFFERS[buffer]);
        const rest = this.buffers[buffer].subarray(start + length);
        this.buffers[buffer] = Buffer.concat([this.#bytes(at, size), rest]);
        return OK;
      },
      proxy_send_local_response: (status, details, detailsLength, body, length) => {
        this.#note('reply');
        this.reply = { status, body: this.#text(body, length) };
        return OK;
      },
      proxy_set_tick_period_milliseconds: () => OK,
      proxy_call_foreign_function: () => NOT_FOUND,
    };
  }

  #wasi() {
    return {
      clock_time_get: (clock, _, at) => {
        this.#note(clock === 0 ? 'wall clock' : 'steady clock');
        new DataView(this.memory.buffer).setBigUint64(at, BigInt(this.now) * 1_000_000n, true);
        return OK;
      },
      random_get: (at, length) => {
        this.#bytes(at, length).fill(7);
        return OK;
      },
      environ_sizes_get: (count, size) => {
        const view = new DataView(this.memory.buffer);
        view.setUint32(count, 0, true);
        view.setUint32(size, 0, true);
        return OK;
      },
      environ_get: () => OK,
      fd_write: () => OK,
      proc_exit: () => { throw new Error('the module trapped'); },
    };
  }

  #series(id) {
    const { kind, name } = this.metrics[id - 1];
    return `${METRICS[kind]} ${name.split(';')[0]}`;
  }
}
