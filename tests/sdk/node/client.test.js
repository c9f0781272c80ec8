// The official client for Node before a real Envoy, and every provider behind it.

import assert from "node:assert/strict";
import { after, beforeEach, describe, test } from "node:test";

import OpenAI from "openai";

import { start } from "./stage.js";

const stage = await start();
const client = new OpenAI({ apiKey: "sk-client", baseURL: stage.baseURL, maxRetries: 0, timeout: 10_000 });

after(() => stage.stop());
beforeEach(() => stage.reset());

// One of each kind of wire, for what takes long.
const SOME = ["openai", "anthropic", "gemini", "bedrock"];

// What these tell with a 200.
const IN_AN_ANSWER = ["gemini content_filter", "vertex content_filter"];

const user = (content) => ({ role: "user", content });

const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, unit: { enum: ["c", "f"] } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};

/** The text of a stream, and what ended it. */
async function gathered(stream) {
  let text = "";
  try {
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  } catch (problem) {
    return { text, problem };
  }
  return { text, problem: null };
}

for (const behind of stage.providers) {
  const model = behind.asked;
  const chat = (text, more = {}, options = {}) =>
    client.chat.completions.create({ model, messages: [user(text)], ...more }, options);
  const hello = `${behind.hello}You said: hello`;

  describe(`behind: ${behind.name}`, () => {
    test("a chat is answered", async () => {
      const { data, response } = await chat("hello").withResponse();
      assert.equal(data.object, "chat.completion");
      assert.equal(data.choices[0].message.content, hello);
      assert.equal(data.choices[0].finish_reason, "stop");
      assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
      assert.equal(data._request_id, response.headers.get("x-request-id"));
      assert.equal(response.headers.get("x-waypost-model"), behind.model);
      assert.equal(response.headers.get("x-waypost-provider"), behind.fake);
    });

    for (const usage of [false, true]) {
      test(`a stream is the answer in pieces, ${usage ? "with" : "without"} usage`, async () => {
        const more = usage ? { stream_options: { include_usage: true } } : {};
        const chunks = [];
        for await (const chunk of await chat("hello", { stream: true, ...more })) chunks.push(chunk);
        assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
        if (usage) {
          const last = chunks.pop();
          assert.deepEqual(last.choices, []);
          assert.ok(last.usage.completion_tokens > 0);
        }
        assert.ok(chunks.every((chunk) => !chunk.usage && chunk.choices.length === 1));
        assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), hello);
        assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
      });
    }

    for (const [text, cities] of [["weather", ["Paris"]], ["weather in two cities", ["Paris", "Oslo"]]]) {
      test(`tools are called and their results read: ${text}`, async () => {
        const messages = [user(text)];
        const answer = await client.chat.completions.create({ model, messages, tools: [WEATHER] });
        const { message, finish_reason } = answer.choices[0];
        assert.equal(finish_reason, "tool_calls");
        assert.deepEqual(
          message.tool_calls.map((call) => JSON.parse(call.function.arguments).city),
          cities,
        );
        messages.push(message);
        for (const call of message.tool_calls) {
          messages.push({ role: "tool", tool_call_id: call.id, content: "sun" });
        }
        const again = await client.chat.completions.create({ model, messages, tools: [WEATHER] });
        assert.match(again.choices[0].message.content, /The tools said: sun/);
      });

      test(`streamed arguments are put together by the client: ${text}`, async () => {
        const stream = client.chat.completions.stream({ model, messages: [user(text)], tools: [WEATHER] });
        const final = await stream.finalChatCompletion();
        const calls = final.choices[0].message.tool_calls;
        assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments).city), cities);
        assert.equal(new Set(calls.map((call) => call.id)).size, cities.length);
        assert.equal(final.choices[0].finish_reason, "tool_calls");
      });
    }

    test("the client runs the tools itself", async () => {
      const asked = [];
      const runner = client.chat.completions.runTools({
        model,
        messages: [user("weather in two cities")],
        tools: [{
          type: "function",
          function: {
            ...WEATHER.function,
            parse: JSON.parse,
            function: ({ city }) => { asked.push(city); return `sun in ${city}`; },
          },
        }],
      });
      assert.match(await runner.finalContent(), /sun in Paris; sun in Oslo/);
      assert.deepEqual(asked, ["Paris", "Oslo"]);
    });

    test("an answer follows a schema, or the request is refused", async () => {
      const schema = {
        type: "object",
        properties: { title: { type: "string" }, words: { type: "integer" } },
        required: ["title", "words"],
        additionalProperties: false,
      };
      const asked = client.chat.completions.parse({
        model,
        messages: [user("report")],
        response_format: { type: "json_schema", json_schema: { name: "report", schema, strict: true } },
      });
      if (!behind.schema) {
        await assert.rejects(asked, (problem) => problem instanceof OpenAI.BadRequestError && problem.param === "response_format");
        return;
      }
      const answer = await asked;
      const report = JSON.parse(answer.choices[0].message.content);
      assert.deepEqual(Object.keys(report).sort(), ["title", "words"]);
      assert.equal(report.words, 1);
    });

    for (const [fault, error] of [
      ["status=400", "BadRequestError"],
      ["context_length", "BadRequestError"],
      ["content_filter", "BadRequestError"],
      ["status=404", "NotFoundError"],
      ["status=429", "RateLimitError"],
      ["status=401", "InternalServerError"],
      ["status=500", "InternalServerError"],
      ["status=529", "InternalServerError"],
      ["reset", "InternalServerError"],
      ["malformed", "InternalServerError"],
    ]) {
      if (IN_AN_ANSWER.includes(`${behind.name} ${fault}`)) continue;
      for (const stream of [false, true]) {
        test(`${fault} is a ${error}${stream ? ", before anything is streamed" : ""}`, async () => {
          await assert.rejects(chat(`hi [[*:${fault}]]`, { stream }), (problem) => {
            assert.equal(problem.constructor, OpenAI[error]);
            assert.deepEqual(Object.keys(problem.error).sort(), ["code", "message", "param", "type"]);
            assert.ok(problem.requestID);
            return true;
          });
        });
      }
    }

    // With a pause between events: an error that comes with the first content is answered by a status.
    for (const fault of ["error_after=2", "end_after=2"]) {
      test(`an error within a stream is thrown behind what came: ${fault}`, async () => {
        const { text, problem } = await gathered(await chat(`hi [[*:${fault},chunks=6,slow_chunks=0.03]]`, { stream: true }));
        assert.ok(problem instanceof OpenAI.APIError, problem);
        assert.ok(problem.error.message);
        assert.match(text, /^Hello/);
      });
    }

    test("many at once each get their own answer", async () => {
      const answers = await Promise.all(Array.from({ length: 10 }, (_, number) => chat(`number ${number}`)));
      answers.forEach((answer, number) => {
        assert.ok(answer.choices[0].message.content.endsWith(`You said: number ${number}`));
      });
    });

    if (behind.thinks) {
      const ask = { model: behind.asked_to_think, messages: [user("think about it")], reasoning_effort: "high" };

      test("thoughts come apart from the answer", async () => {
        const { message } = (await client.chat.completions.create(ask)).choices[0];
        assert.match(message.content, /^Hello from/);
        assert.equal(Boolean(message.reasoning_content), behind.shows_thoughts);
        let thought = "";
        for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
          thought += chunk.choices[0]?.delta.reasoning_content ?? "";
        }
        assert.equal(thought, message.reasoning_content ?? "");
      });

      test("a model that thinks goes on from its own calls", async () => {
        const messages = [user("think about the weather in two cities")];
        const { message } = (await client.chat.completions.create({ ...ask, messages, tools: [WEATHER] })).choices[0];
        messages.push(message);
        for (const call of message.tool_calls) messages.push({ role: "tool", tool_call_id: call.id, content: "sun" });
        const again = await client.chat.completions.create({ ...ask, messages, tools: [WEATHER] });
        assert.match(again.choices[0].message.content, /The tools said: sun; sun/);
      });
    }

    test("probabilities come in one shape, or are refused", async () => {
      const asked = chat("hello", { logprobs: true });
      if (!behind.logprobs) {
        await assert.rejects(asked, (problem) => problem instanceof OpenAI.BadRequestError && problem.param === "logprobs");
        return;
      }
      const tokens = (await asked).choices[0].logprobs.content;
      assert.equal(tokens.map((token) => token.token).join(""), hello);
    });

    if (!SOME.includes(behind.name)) return;

    test("a stream that is cut does not look whole", async () => {
      const { text, problem } = await gathered(await chat("hi [[*:cut_after=2,chunks=6,slow_chunks=0.03]]", { stream: true }));
      assert.ok(problem, "the client noticed nothing");
      assert.match(text, /^Hello/);
    });

    test("a client that waits no longer takes its request with it", async () => {
      await assert.rejects(chat("hi [[*:slow=9]]", {}, { timeout: 300 }), OpenAI.APIConnectionTimeoutError);
      assert.ok(await stage.fake(behind.fake).idle());
      assert.equal((await stage.fake(behind.fake).state()).aborted, 1);
    });

    test("a client that stops a stream takes its request with it", async () => {
      const stream = await chat("hi [[*:slow_chunks=0.05,chunks=200]]", { stream: true });
      for await (const _ of stream) break;
      assert.ok(await stage.fake(behind.fake).idle());
      assert.equal((await stage.fake(behind.fake).state()).aborted, 1);
    });

    test("a client that tries again succeeds, one without retries asks once", async () => {
      const fake = stage.fake(behind.fake);
      await fake.set("status=429,retry_after=0.1", 1);
      const answer = await chat("hello", {}, { maxRetries: 2 });
      assert.equal(answer.choices[0].message.content, hello);
      await fake.reset();
      await fake.set("status=503");
      await assert.rejects(chat("hello"), OpenAI.InternalServerError);
      assert.equal((await fake.state()).requests, 1);
    });
  });
}

test("models are listed and shown", async () => {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  for (const { model } of stage.providers) assert.ok(listed.includes(model), model);
  assert.equal((await client.models.retrieve("claude-sonnet-4-5")).owned_by, "anthropic");
  await assert.rejects(client.models.retrieve("gpt-5000"), OpenAI.NotFoundError);
});

test("a wrong request names its field", async () => {
  const ask = { model: "gpt-4o", messages: [user("hi")], temperature: 9 };
  await assert.rejects(client.chat.completions.create(ask), (problem) => {
    assert.equal(problem.constructor, OpenAI.BadRequestError);
    assert.equal(problem.param, "temperature");
    return true;
  });
});

test("a gateway that is not there is a connection error", async () => {
  const lost = new OpenAI({ apiKey: "x", baseURL: "http://127.0.0.1:1/v1", maxRetries: 0 });
  await assert.rejects(lost.models.list(), OpenAI.APIConnectionError);
});
