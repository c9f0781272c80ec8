"""Tests of what the Bedrock dialect says and refuses, and of its frames and signatures."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import struct
import time
import unittest
import zlib
from typing import Any
from urllib.parse import quote

from raw_client import KEYS, Client, Response, chat, control
from test_dialects import ARGUMENTS, PARAMETERS, SCHEMA
from test_fakes import FakeTest

CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NOVA = "amazon.nova-pro-v1:0"
ARN = f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{CLAUDE}"
SECRET = "fake/aws+secret"
TOOL = {"toolSpec": {"name": "forecast", "inputSchema": {"json": PARAMETERS}}}
TOOLS = {"tools": [TOOL]}


def user(*blocks: Any) -> dict[str, Any]:
    said = [{"text": block} if isinstance(block, str) else block for block in blocks]
    return {"role": "user", "content": said}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {**user(*blocks), "role": "assistant"}


def use(call: str = "t1", **more: Any) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call, "name": "forecast", "input": {}, **more}}


def result(name: str = "t1", *content: Any, **more: Any) -> dict[str, Any]:
    told = list(content) or [{"text": "18 degrees"}]
    return {"toolResult": {"toolUseId": name, "content": told, **more}}


def frames(body: bytes) -> list[tuple[dict[str, str], Any]]:
    """The frames of a stream: their headers and their JSON. Raises on a wrong checksum."""
    found = []
    while body:
        total, size, prelude = struct.unpack(">III", body[:12])
        [last] = struct.unpack(">I", body[total - 4 : total])
        if zlib.crc32(body[:8]) != prelude or zlib.crc32(body[: total - 4]) != last:
            raise ValueError("checksum mismatch")
        headers, rest = {}, body[12 : 12 + size]
        while rest:
            name_end = 1 + rest[0]
            kind, length = struct.unpack(">BH", rest[name_end : name_end + 3])
            assert kind == 7
            end = name_end + 3 + length
            headers[rest[1:name_end].decode()] = rest[name_end + 3 : end].decode()
            rest = rest[end:]
        found.append((headers, json.loads(body[12 + size : total - 4])))
        body = body[total:]
    return found


class BedrockTest(FakeTest):
    def ask(self, text: str = "hi", **more: Any) -> Response:
        return chat("bedrock", self.ports["bedrock"], text, **more)

    def refusal(self, answer: Response, kind: str = "ValidationException") -> str:
        self.assertEqual(answer.status, 400, answer.body)
        self.assertEqual(answer.headers["x-amzn-errortype"].partition(":")[0], kind)
        return str(answer.json()["message"])

    def refused(self, *messages: dict[str, Any], **more: Any) -> str:
        return self.refusal(self.ask(messages=list(messages), **more))

    def blocks(self, answer: Response) -> list[dict[str, Any]]:
        self.assertEqual(answer.status, 200, answer.body)
        return list(answer.json()["output"]["message"]["content"])

    def invoke(self, model: str, body: Any) -> Response:
        with Client(self.ports["bedrock"]) as client:
            path = f"/model/{quote(model, safe='')}/invoke"
            return client.ask("POST", path, KEYS["bedrock"], json.dumps(body).encode())


class Answers(BedrockTest):
    def test_an_answer_says_who_answers_and_what_was_asked(self) -> None:
        answer = self.ask("good morning", model=NOVA)
        body = answer.json()
        said = f"Hello from bedrock ({NOVA}). You said: good morning"
        message = {"content": [{"text": said}], "role": "assistant"}
        self.assertEqual(body["output"], {"message": message})
        self.assertEqual(body["stopReason"], "end_turn")
        usage = body["usage"]
        self.assertEqual(usage["inputTokens"], 3)
        self.assertEqual(usage["totalTokens"], 3 + usage["outputTokens"])
        self.assertIn("x-amzn-requestid", answer.headers)

    def test_a_stream_is_frames_with_checksums_and_padding(self) -> None:
        answer = self.ask(stream=True)
        self.assertEqual(answer.headers["content-type"], "application/vnd.amazon.eventstream")
        found = frames(answer.body)
        names = [headers[":event-type"] for headers, _ in found]
        around = ["messageStart", "contentBlockStop", "messageStop", "metadata"]
        self.assertEqual([names[0], *names[-3:]], around)
        self.assertEqual(set(names[1:-3]), {"contentBlockDelta"})
        for headers, payload in found:
            self.assertEqual(headers[":message-type"], "event")
            self.assertEqual(headers[":content-type"], "application/json")
            self.assertTrue(payload["p"].startswith("abc"))
        self.assertGreater(len({payload["p"] for _, payload in found}), 3)
        said = "".join(payload["delta"]["text"] for _, payload in found[1:-3])
        self.assertEqual(said, f"Hello from bedrock ({CLAUDE}). You said: hi")
        self.assertGreater(found[-1][1]["usage"]["outputTokens"], 0)

    def test_only_tools_announce_their_block(self) -> None:
        text = "weather in two cities, explain"
        answer = self.ask(text, toolConfig=TOOLS, stream=True)
        calls: dict[int, str] = {}
        for headers, payload in frames(answer.body):
            if headers[":event-type"] == "contentBlockStart":
                self.assertEqual(payload["start"]["toolUse"]["name"], "forecast")
                calls[payload["contentBlockIndex"]] = ""
            piece = payload.get("delta", {}).get("toolUse")
            if piece:
                calls[payload["contentBlockIndex"]] += piece["input"]
        self.assertEqual(json.loads(calls[1]), ARGUMENTS)
        self.assertEqual(json.loads(calls[2]), {"city": "Oslo", "unit": "c"})

    def test_a_tool_without_arguments_sends_no_delta(self) -> None:
        plain = {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object"}}}}
        answer = self.ask("weather", toolConfig={"tools": [plain]}, stream=True)
        names = [headers[":event-type"] for headers, _ in frames(answer.body)]
        self.assertEqual(names[1:3], ["contentBlockStart", "contentBlockStop"])

    def test_tools_are_called_and_their_results_quoted(self) -> None:
        answer = self.ask("weather?", toolConfig=TOOLS)
        self.assertEqual(answer.json()["stopReason"], "tool_use")
        [block] = self.blocks(answer)
        call = block["toolUse"]
        self.assertEqual((call["name"], call["input"]), ("forecast", ARGUMENTS))
        told = result(call["toolUseId"], {"json": {"degrees": 18}})
        history = [user("weather?"), assistant(block), user(told)]
        [block] = self.blocks(self.ask(messages=history, toolConfig=TOOLS))
        self.assertIn('The tools said: {"degrees": 18}', block["text"])

    def test_tool_choice_is_obeyed(self) -> None:
        other = {"toolSpec": {"name": "other", "inputSchema": {"json": {"type": "object"}}}}
        config = {"tools": [TOOL, other], "toolChoice": {"tool": {"name": "other"}}}
        [block] = self.blocks(self.ask(toolConfig=config))
        self.assertEqual(block["toolUse"]["name"], "other")
        [block] = self.blocks(self.ask(toolConfig={"tools": [TOOL], "toolChoice": {"any": {}}}))
        self.assertIn("toolUse", block)
        once = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
        answer = self.ask(
            "weather in two cities", toolConfig=TOOLS, additionalModelRequestFields=once
        )
        self.assertEqual(len(self.blocks(answer)), 1)

    def test_thought_is_signed_and_checked_when_it_comes_back(self) -> None:
        extra = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
        answer = self.ask("think redacted", additionalModelRequestFields=extra)
        redacted, thought, text = self.blocks(answer)
        self.assertIn("redactedContent", redacted["reasoningContent"])
        told = thought["reasoningContent"]["reasoningText"]
        history = [user("think"), assistant(redacted, thought, text), user("and?")]
        self.assertEqual(self.ask(messages=history).status, 200)
        told["text"] += "!"
        self.assertIn("Invalid `signature` in `thinking` block", self.refused(*history))
        answer = self.ask("think", additionalModelRequestFields=extra, stream=True)
        deltas = [payload.get("delta", {}) for _, payload in frames(answer.body)]
        kinds = [next(iter(d["reasoningContent"])) for d in deltas if "reasoningContent" in d]
        self.assertEqual(kinds, ["text", "text", "signature"])

    def test_a_schema_is_satisfied(self) -> None:
        schema = {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "a"}}
        form = {"textFormat": {"type": "json_schema", "structure": schema}}
        [block] = self.blocks(self.ask(outputConfig=form))
        self.assertEqual(json.loads(block["text"])["kind"], "fact")
        schema["jsonSchema"]["schema"] = "{"
        self.assertIn("Provide a json object", self.refusal(self.ask(outputConfig=form)))

    def test_limits_and_stops_end_the_text(self) -> None:
        answer = self.ask(inferenceConfig={"maxTokens": 3})
        self.assertEqual(self.blocks(answer), [{"text": "Hello from b"}])
        self.assertEqual(answer.json()["stopReason"], "max_tokens")
        answer = self.ask(inferenceConfig={"stopSequences": [" You"]})
        self.assertEqual(answer.json()["stopReason"], "stop_sequence")

    def test_cached_tokens_are_told_apart(self) -> None:
        usage = self.ask("this is cached text").json()["usage"]
        self.assertEqual((usage["inputTokens"], usage["cacheReadInputTokens"]), (3, 2))

    def test_a_prompt_can_ask_for_an_ending(self) -> None:
        for reason in ("content_filtered", "malformed_tool_use"):
            self.assertEqual(self.ask(f"finish {reason}").json()["stopReason"], reason)
        answer = self.ask("[[bedrock:refusal]]").json()
        self.assertEqual(answer["stopReason"], "guardrail_intervened")

    def test_titan_embeds_one_text(self) -> None:
        model = "amazon.titan-embed-text-v2:0"
        answer = self.invoke(model, {"inputText": "hello", "dimensions": 256})
        self.assertEqual(answer.headers["x-amzn-bedrock-input-token-count"], "2")
        body = answer.json()
        self.assertEqual((len(body["embedding"]), body["inputTextTokenCount"]), (256, 2))
        self.assertAlmostEqual(math.hypot(*body["embedding"]), 1, places=5)
        for body, words in (
            ({}, "required key [inputText] not found"),
            ({"inputText": ["a", "b"]}, "expected type: String, found: JSONArray"),
            ({"inputText": ""}, "expected minLength: 1"),
            ({"inputText": "a", "input": "a"}, "extraneous key [input] is not permitted"),
            ({"inputText": "a", "dimensions": 3}, "not a valid enum value"),
        ):
            self.assertIn(words, self.refusal(self.invoke(model, body)))

    def test_cohere_embeds_up_to_96_texts(self) -> None:
        model = "cohere.embed-multilingual-v3"
        asked: dict[str, Any] = {"texts": ["a", "b"], "input_type": "search_query"}
        answer = self.invoke(model, asked)
        self.assertEqual([len(one) for one in answer.json()["embeddings"]], [1024, 1024])
        self.assertEqual(answer.headers["x-amzn-bedrock-input-token-count"], "2")
        typed = self.invoke(model, asked | {"embedding_types": ["float"]}).json()
        self.assertEqual(typed["embeddings"]["float"], answer.json()["embeddings"])
        self.assertIn("input_type", self.refusal(self.invoke(model, {"texts": ["a"]})))
        many = asked | {"texts": ["a"] * 97}
        self.assertIn("1 to 96 items", self.refusal(self.invoke(model, many)))


class Refusals(BedrockTest):
    def test_the_conversation_starts_with_a_user_and_alternates(self) -> None:
        self.assertIn("must start with a user message", self.refused())
        self.assertIn("must start with a user message", self.refused(assistant("a")))
        self.assertIn("must alternate", self.refused(user("a"), user("b")))

    def test_blank_text_is_refused_except_in_tool_results(self) -> None:
        blank = "The text field in the ContentBlock object at messages.0.content.0 is blank."
        for text in ("", "  "):
            self.assertIn(blank, self.refused(user(text)))
        self.assertIn("is empty", self.refused({"role": "user", "content": []}))
        message = self.refusal(self.ask(system=[{"text": ""}]))
        self.assertIn("'system.1.member.text' failed to satisfy constraint", message)
        self.assertIn("SystemContentBlock", self.refusal(self.ask(system=[{"text": " "}])))
        history = [user("a"), assistant(use()), user(result("t1", {"text": ""}))]
        self.assertEqual(self.ask(messages=history, toolConfig=TOOLS).status, 200)

    def test_tool_calls_and_their_results_must_match(self) -> None:
        ask = {"toolConfig": TOOLS}
        expected = "Expected toolResult blocks at messages.2.content for the following Ids: t1"
        self.assertIn(expected, self.refused(user("a"), assistant(use()), user("b"), **ask))
        self.assertIn(expected, self.refused(user("a"), assistant(use()), **ask))
        exceeds = "exceeds the number of toolUse blocks of previous turn"
        self.assertIn(exceeds, self.refused(user(result()), **ask))
        more = [user("a"), assistant(use()), user(result(), result("t2"))]
        self.assertIn(exceeds, self.refused(*more, **ask))
        twice = [user("a"), assistant(use(), use()), user(result(), result())]
        self.assertIn("duplicate Ids: t1", self.refused(*twice, **ask))
        history = [user("a"), assistant(use()), user(result())]
        self.assertIn("The toolConfig field must be defined", self.refused(*history))
        self.assertIn("not allowed in a message with role", self.refused(user(use()), **ask))

    def test_tool_blocks_are_checked(self) -> None:
        def called(*results: Any, **more: Any) -> str:
            name = more.get("toolUseId", "t1")
            told = results or (result(name),)
            return self.refused(user("a"), assistant(use(**more)), user(*told), toolConfig=TOOLS)

        objects = "Provide a json object for the field"
        self.assertIn(
            f"messages.1.content.0.toolUse.input is invalid. {objects}", called(input="{}")
        )
        listed = result("t1", {"json": [1]})
        self.assertIn(f"toolResult.content.0.json is invalid. {objects}", called(listed))
        empty = {"toolResult": {"toolUseId": "t1", "content": [], "status": "error"}}
        self.assertIn("cannot be empty when status value is error", called(empty))
        place = "at 'messages.2.member.content.1.member.toolUse.toolUseId'"
        self.assertIn(f"{place} failed to satisfy constraint", called(toolUseId="a b"))
        self.assertIn("less than or equal to 64", called(toolUseId="x" * 65))
        self.assertIn("regular expression pattern", called(name="a.b"))

    def test_tool_definitions_are_checked(self) -> None:
        def refused(choice: Any = None, **more: Any) -> str:
            config = {"tools": [{"toolSpec": TOOL["toolSpec"] | more}]}
            return self.refusal(
                self.ask(toolConfig=config | ({"toolChoice": choice} if choice else {}))
            )

        place = "at 'toolConfig.tools.1.member.toolSpec.description'"
        self.assertIn(f"Value '' {place} failed to satisfy constraint", refused(description=""))
        self.assertIn(
            "one of the following: object", refused(inputSchema={"json": {"type": "array"}})
        )
        self.assertIn("must set one of", refused(choice={"auto": {}, "any": {}}))
        self.assertIn("extraneous key [none]", refused(choice={"none": {}}))
        self.assertIn("not defined in toolConfig.tools", refused(choice={"tool": {"name": "x"}}))
        message = self.refusal(self.ask(toolConfig={"tools": []}))
        self.assertIn("Member must have length greater than or equal to 1", message)

    def test_media_is_bytes_of_a_known_format(self) -> None:
        def image(source: Any, form: str = "png") -> str:
            return self.refused(user("a", {"image": {"format": form, "source": source}}))

        self.assertIn("extraneous key [url]", image({"url": "https://x/y.png"}))
        self.assertIn("enum value set: [png, jpeg, gif, webp]", image({"bytes": "AAAA"}, "jpg"))
        self.assertIn("S3 location", image({"s3Location": {"uri": "s3://b/k"}}))
        odd = {"image": {"format": "png", "source": {"bytes": "%%"}}}
        self.refusal(self.ask(messages=[user("a", odd)]), "SerializationException")
        document: dict[str, Any] = {"format": "pdf", "name": "a.pdf", "source": {"bytes": "AAAA"}}
        named = "The document file name contains invalid characters."
        self.assertIn(named, self.refused(user("a", {"document": document})))
        document["name"] = "My report [1] (final)"
        self.assertIn("A text block must be included", self.refused(user({"document": document})))
        self.assertEqual(self.ask(messages=[user("a", {"document": document})]).status, 200)

    def test_unknown_keys_and_other_types_are_refused(self) -> None:
        self.assertIn("#: extraneous key [max_tokens]", self.refusal(self.ask(max_tokens=5)))
        named = {**user("a"), "name": "bob"}
        self.assertIn("#/messages/0: extraneous key [name]", self.refused(named))
        both = {"text": "a", "cachePoint": {"type": "default"}}
        self.assertIn("must set one of the following keys", self.refused(user(both)))
        self.assertIn("Member must not be null", self.refused({"role": "user"}))
        message = self.refusal(self.ask(inferenceConfig={"temperature": 1.5}))
        self.assertIn("Member must have value less than or equal to 1", message)
        message = self.refusal(
            self.ask(inferenceConfig={"maxTokens": "5"}), "SerializationException"
        )
        self.assertEqual(message, "STRING_VALUE can not be converted to a Integer")
        self.assertIn("[user, assistant, system]", self.refused({**user("a"), "role": "tool"}))

    def test_stop_sequences_depend_on_the_model(self) -> None:
        config = {"stopSequences": ["x"]}
        message = self.refusal(self.ask(model="openai.gpt-oss-120b-1:0", inferenceConfig=config))
        self.assertIn("doesn't support the stopSequences field", message)
        message = self.refusal(self.ask(inferenceConfig={"stopSequences": [" "]}))
        self.assertIn("non-whitespace", message)

    def test_the_rules_of_claude_hold_here_too(self) -> None:
        says = "The model returned the following errors: "
        both = {"temperature": 0.5, "topP": 0.5}
        self.assertIn(
            f"{says}`temperature` and `top_p`", self.refusal(self.ask(inferenceConfig=both))
        )
        self.assertEqual(self.ask(inferenceConfig=both, model=NOVA).status, 200)
        message = self.refusal(self.ask(additionalModelRequestFields={"frob": 1}))
        self.assertEqual(message, f"{says}frob: Extra inputs are not permitted")
        newer = "us.anthropic.claude-opus-4-7-v1:0"
        message = self.refused(user("a"), assistant("b"), model=newer)
        self.assertIn("prefill", message)
        extra = {"max_tokens": 5}
        message = self.refusal(self.ask(additionalModelRequestFields=extra))
        self.assertEqual(
            message, "The additional field max_tokens conflicts with an existing field."
        )

    def test_model_names_are_checked(self) -> None:
        message = self.refusal(self.ask(model="no-such-model"))
        self.assertEqual(message, "The provided model identifier is invalid.")
        self.assertIn("on-demand throughput", self.refusal(self.ask(model="some.on-demand-v1")))
        self.assertEqual(self.ask(model=ARN).status, 200)
        with Client(self.ports["bedrock"]) as client:
            answer = client.ask("POST", f"/model/{ARN}/converse", KEYS["bedrock"], b"{}")
        self.assertEqual(answer.status, 404)


class Callers(BedrockTest):
    def signed(self, key: str = "AKIAFAKE", secret: str = SECRET, **more: Any) -> Response:
        """Asks with a signature, made here from AWS's description of it."""
        body = json.dumps({"messages": [user("hi")]}).encode()
        path = f"/model/{quote(ARN, safe='')}/converse"
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - more.pop("late", 0)))
        headers = {"host": "fake", "x-amz-date": stamp, **more}
        names = sorted(headers)
        digest = hashlib.sha256(body).hexdigest()
        lines = "".join(f"{name}:{headers[name]}\n" for name in names)
        canonical = f"POST\n{quote(path, safe='/~')}\n\n{lines}\n{';'.join(names)}\n{digest}"
        scope = f"{stamp[:8]}/us-east-1/bedrock/aws4_request"
        text = (
            f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        )
        signing = f"AWS4{secret}".encode()
        for part in scope.split("/"):
            signing = hmac.new(signing, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(names)},"
            f" Signature={signature}"
        )
        del headers["host"]
        with Client(self.ports["bedrock"]) as client:
            return client.ask("POST", path, headers, body)

    def noted(self) -> Any:
        return control(self.ports["bedrock"], "GET", "/fake/last")["signature"]

    def kind(self, answer: Response) -> tuple[int, str]:
        return answer.status, answer.headers["x-amzn-errortype"]

    def test_a_signature_is_verified(self) -> None:
        self.assertEqual(self.signed().status, 200)
        self.assertEqual(self.noted(), "valid")
        self.assertEqual(self.kind(self.signed(secret="other")), (403, "InvalidSignatureException"))
        self.assertIn("does not match", self.noted())
        self.assertEqual(self.kind(self.signed(late=900)), (403, "InvalidSignatureException"))
        self.assertIn("Signature expired", self.noted())
        token = {"x-amz-security-token": "expired"}
        self.assertEqual(self.kind(self.signed(**token)), (403, "ExpiredTokenException"))
        self.assertEqual(
            self.kind(self.signed("AKIAINVALID")), (403, "UnrecognizedClientException")
        )

    def test_a_bearer_key_will_do(self) -> None:
        self.assertEqual(self.ask().status, 200)
        self.assertIsNone(self.noted())
        answer = self.ask(headers={"authorization": "Bearer invalid"})
        self.assertEqual(self.kind(answer), (403, "AccessDeniedException"))
        self.assertIn("make sure your API Key is valid", answer.json()["Message"])
        answer = self.ask(headers={"authorization": "Bearer expired"})
        self.assertEqual(self.kind(answer), (403, "ExpiredTokenException"))
        answer = self.ask(headers={"authorization": ""})
        self.assertEqual(self.kind(answer), (403, "MissingAuthenticationTokenException"))


class Faults(BedrockTest):
    def test_each_status_has_the_type_its_provider_sends(self) -> None:
        for status, kind in {
            400: "ValidationException", 403: "AccessDeniedException",
            404: "ResourceNotFoundException", 408: "ModelTimeoutException",
            424: "ModelErrorException", 429: "ThrottlingException",
            500: "InternalServerException", 503: "ServiceUnavailableException",
        }.items():  # fmt: skip
            answer = self.chat("bedrock", f"status={status}")
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.headers["x-amzn-errortype"].partition(":")[0], kind)
            self.assertTrue(answer.json()["message"])
        self.assertTrue(self.chat("bedrock", "status=502").body.startswith(b"<html>"))

    def test_faults_with_a_meaning_use_the_words_of_the_provider(self) -> None:
        for fault, status, words in (
            ("quota", 429, "Too many tokens per day"),
            ("billing", 403, "INVALID_PAYMENT_INSTRUMENT"),
            ("context_length", 400, "Input is too long for requested model."),
            ("content_filter", 400, "content filtering policy"),
        ):
            answer = self.chat("bedrock", fault)
            self.assertEqual(answer.status, status)
            self.assertIn(words, answer.json()["message"])

    def test_an_error_in_a_stream_is_an_exception_frame(self) -> None:
        for text, kind in (
            ("hi", "modelStreamErrorException"),
            ("exception throttlingException", "throttlingException"),
        ):
            answer = self.ask(f"{text} [[bedrock:error_after=1]]", stream=True)
            headers, payload = frames(answer.body)[-1]
            self.assertEqual(headers[":message-type"], "exception")
            self.assertEqual(headers[":exception-type"], kind)
            self.assertTrue(payload["message"])
        answer = self.chat("bedrock", "error_first").json()
        self.assertNotIn("output", answer)

    def test_a_stream_breaks_off_as_asked(self) -> None:
        for fault, ending in {"cut_after=2": "cut", "end_after=2": "complete"}.items():
            answer = self.chat("bedrock", fault, stream=True)
            self.assertEqual((answer.ending, len(frames(answer.body))), (ending, 3))

    def test_frames_can_be_broken_in_two_ways(self) -> None:
        answer = self.chat("bedrock", "bad_crc", stream=True)
        with self.assertRaisesRegex(ValueError, "checksum"):
            frames(answer.body)
        answer = self.chat("bedrock", "malformed_after=1", stream=True)
        with self.assertRaises(json.JSONDecodeError):
            frames(answer.body)

    def test_no_usage_leaves_the_usage_out(self) -> None:
        self.assertNotIn("usage", self.chat("bedrock", "no_usage").json())
        last = frames(self.chat("bedrock", "no_usage", stream=True).body)[-1][1]
        self.assertNotIn("usage", last)

    def test_a_directive_may_name_a_model_with_a_colon(self) -> None:
        self.assertEqual(self.ask(f"[[model={CLAUDE}:status=418]]").status, 418)


if __name__ == "__main__":
    unittest.main()
