// Vectors through the official client for Node, which asks for base64 by itself and decodes it.

import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";

import OpenAI from "openai";

import { start } from "./stage.js";

const MODEL = "text-embedding-3-small";

const stage = await start();
const client = new OpenAI({ apiKey: "sk-client", baseURL: stage.baseURL, maxRetries: 0, timeout: 10_000 });

after(() => stage.stop());
beforeEach(() => stage.reset());

const norm = (vector) => Math.sqrt(vector.reduce((sum, number) => sum + number * number, 0));

for (const behind of stage.providers.filter(({ embeds }) => embeds)) {
  test(`vectors of everyone come in one shape: ${behind.name}`, async () => {
    const input = behind.batches ? ["hello", "you"] : ["hello"];
    const ask = { model: `${behind.fake}/${behind.embeds}`, input };
    const own = await client.embeddings.create(ask);
    const floats = await client.embeddings.create({ ...ask, encoding_format: "float" });
    assert.deepEqual(own.data.map((one) => one.index), [...input.keys()]);
    for (const [index, one] of own.data.entries()) {
      assert.ok(Math.abs(norm(one.embedding) - 1) < 1e-3);
      const others = floats.data[index].embedding;
      assert.ok([...one.embedding].every((number, place) => Math.abs(number - others[place]) < 1e-6));
    }
  });
}

test("base64 and floats are the same vectors", async () => {
  const own = await client.embeddings.create({ model: MODEL, input: ["hello", "you"] });
  assert.equal((await stage.fake("openai").last()).encoding_format, "base64");
  const floats = await client.embeddings.create({ model: MODEL, input: ["hello", "you"], encoding_format: "float" });
  assert.equal(own.data.length, 2);
  for (const [index, one] of own.data.entries()) {
    assert.equal(one.index, index);
    assert.equal(one.embedding.length, 1536);
    assert.ok(Math.abs(norm(one.embedding) - 1) < 1e-5);
    assert.deepEqual([...one.embedding], floats.data[index].embedding.map(Math.fround));
  }
  assert.ok(own.usage.prompt_tokens > 0 && own.usage.total_tokens === own.usage.prompt_tokens);
});

test("a length and tokens are passed on", async () => {
  const answer = await client.embeddings.create({ model: MODEL, input: [[1, 2], [3]], dimensions: 16 });
  assert.deepEqual(answer.data.map((one) => one.embedding.length), [16, 16]);
  assert.deepEqual((await stage.fake("openai").last()).input, [[1, 2], [3]]);
});

test("what cannot be embedded is a bad request", async () => {
  await assert.rejects(client.embeddings.create({ model: MODEL, input: ["a", ""] }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "input[1]");
    return true;
  });
  await assert.rejects(
    client.embeddings.create({ model: "claude-sonnet-4-5", input: "a" }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "model",
  );
});

test("a provider that fails is an error of the client's own", async () => {
  await stage.fake("openai").set("status=429");
  await assert.rejects(client.embeddings.create({ model: MODEL, input: "a" }), OpenAI.RateLimitError);
});
