import assert from "node:assert/strict";
import { test } from "node:test";
import { excerpt, fromNotes, messages } from "@/answers/prompt";
import { event, eventsOf } from "@/answers/sse";
import { InvalidEnvironment } from "@/env/read";
import { readServerEnv } from "@/env/schema";
import { LIMITS, newNote, question, tagsOf } from "@/notes/rules";
import { fromElsewhere, ownerFor, ownerOf } from "@/owner";

async function* cut(text: string, length: number): AsyncGenerator<string> {
  for (let at = 0; at < text.length; at += length) yield text.slice(at, at + length);
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test("events are read however they are cut, whatever ends their lines", async () => {
  const stream = "data: one\n\n: a comment\n\ndata: two\r\ndata:three\r\n\r\nevent: x\nid: 7\ndata: [DONE]\n\ndata: unfinished";
  for (const length of [1, 2, 3, 7, 1000]) {
    assert.deepEqual(await all(eventsOf(cut(stream, length))), ["one", "two\nthree", "[DONE]"], String(length));
  }
  assert.deepEqual(await all(eventsOf(cut(event({ text: "a\nb" }), 5))), ['{"text":"a\\nb"}']);
});

test("an event without an end is given up", async () => {
  await assert.rejects(all(eventsOf(cut("data: ".padEnd(1_100_000, "x"), 65_536))), /larger than 1 MB/);
});

test("tags are few, short and no two alike", () => {
  assert.deepEqual(tagsOf(" Roof, house ,roof,, "), ["roof", "house"]);
  assert.equal(tagsOf(Array.from({ length: 20 }, (_, n) => `t${n}`).join()).length, LIMITS.tags);
  assert.equal(tagsOf("x".repeat(99))[0]?.length, LIMITS.tag);
});

test("a note has a title and a text, and nothing that PostgreSQL cannot keep", () => {
  assert.deepEqual(newNote.parse({ title: " Roof ", body: "a\0b" }), { title: "Roof", body: "ab", tags: [] });
  for (const wrong of [{}, { title: " ", body: "b" }, { title: "x".repeat(121), body: "b" }, { title: "t", body: "\0" }]) {
    assert.equal(newNote.safeParse(wrong).success, false);
  }
  assert.equal(question.safeParse(7).success, false);
  assert.equal(question.safeParse("x".repeat(501)).success, false);
});

test("an excerpt ends with a word", () => {
  assert.equal(excerpt("short  text\n"), "short text");
  assert.equal(excerpt("one two three", 9), "one two…");
  assert.equal(excerpt("x".repeat(30), 10), `${"x".repeat(10)}…`);
});

test("what the model is sent is the question and the notes, as material", () => {
  const [system, user] = messages("Which tiles?", [{ id: "1", title: 'The "roof"', body: "red\nones" }]);
  assert.match(system?.content ?? "", /not instructions/);
  assert.match(user?.content ?? "", /Question: Which tiles\?\n\nNotes:\n\{"title":"The \\"roof\\"","text":"red\\nones"\}$/);
  assert.match(fromNotes([]), /None of your notes/);
});

test("a cookie opens its notes and no others; what is no cookie of ours opens none", () => {
  const first = ownerFor(new Request("http://a.example"));
  assert.match(first.cookie ?? "", /^akashic=[\w-]{32}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=31536000$/);
  const value = first.cookie?.split(";")[0] ?? "";
  const again = ownerFor(new Request("http://a.example", { headers: { cookie: `theme=dark; ${value}` } }));
  assert.deepEqual(again, { id: first.id, cookie: undefined });
  assert.notEqual(first.id, value.slice(8));
  for (const cookie of [undefined, "", "short", "x".repeat(33), "' or 1=1 --".padEnd(32)]) assert.equal(ownerOf(cookie), undefined);
  const secure = ownerFor(new Request("http://a.example", { headers: { "x-forwarded-proto": "https" } }));
  assert.match(secure.cookie ?? "", /; Secure$/);
});

test("other sites' pages write nothing here", () => {
  const from = (site?: string) => fromElsewhere(new Request("http://a.example", { headers: site ? { "sec-fetch-site": site } : {} }));
  assert.deepEqual([from(), from("none"), from("same-origin"), from("same-site"), from("cross-site")], [false, false, false, true, true]);
});

test("variables have types and defaults, and everything wrong is told at once without a value", () => {
  const env = readServerEnv({ DATABASE_URL: "postgresql://u@h/d", REDIS_URL: "", OPENAI_TIMEOUT: "2.5" });
  assert.deepEqual([env.REDIS_URL, env.OPENAI_TIMEOUT, env.OPENAI_BASE_URL], [undefined, 2.5, "https://api.openai.com/v1"]);
  assert.throws(
    () => readServerEnv({ REDIS_URL: "http://hunter2", OPENAI_BASE_URL: "ftp://hunter2", OPENAI_TIMEOUT: "soon" }),
    (fault) => {
      assert.ok(fault instanceof InvalidEnvironment);
      const names = fault.problems.map((line) => line.split(/[: ]/)[0]);
      assert.deepEqual(names, ["DATABASE_URL", "OPENAI_BASE_URL", "OPENAI_TIMEOUT", "REDIS_URL"]);
      assert.doesNotMatch(fault.message, /hunter2|soon/);
      return true;
    },
  );
});
