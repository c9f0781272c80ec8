"""Fake model providers: the wire of the real ones, and each way in which it breaks.

The modules, from the wire up:

- `http`      HTTP/1.1 over asyncio: requests in, framed bodies out.
- `faults`    what can be asked to go wrong, and how it is asked for.
- `replies`   an answer before it is bytes, and the faults that act on those bytes.
- `content`   what the model says: deterministic, and the same for every dialect.
- `openai`, `anthropic`, `azure`, `gemini`, `vertex`, `bedrock`, `mistral`, `cohere`   the dialects;
  `*_rules` hold what they refuse. Gemini's requests are read by `protojson`, Bedrock's by
  `bedrock_shapes`.
- `compatible`   the providers that took over OpenAI's shapes; their rows are in
  `compatible_vendors` and `compatible_hosts`, `compatible_rules` what single ones refuse.
- `sigv4`, `eventstream`   how Bedrock is signed to, and how it streams.
- `vectors`, `embeddings`   embeddings, Google's and Bedrock's, and all others.
- `server`    one listening address: its faults, its counters, its control endpoints.
"""
