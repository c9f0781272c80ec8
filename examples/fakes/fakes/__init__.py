"""Fake model providers: the wire of the real ones, and each way in which it breaks.

The modules, from the wire up:

- `http`      HTTP/1.1 over asyncio: requests in, framed bodies out.
- `faults`    what can be asked to go wrong, and how it is asked for.
- `replies`   an answer before it is bytes, and the faults that act on those bytes.
- `content`   what the model says: deterministic, and the same for every dialect.
- `openai`, `anthropic`   the two dialects; `*_rules` hold what they refuse.
- `azure`, `mistral`, `cohere`   three more, two with their own `*_rules`.
- `compatible`   the providers that took over OpenAI's shapes; `compatible_rows` tells them apart.
- `embeddings` vectors for all of them.
- `server`    one listening address: its faults, its counters, its control endpoints.
"""
