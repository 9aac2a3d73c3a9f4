import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, mock, test } from "node:test";
import type { Progress } from "@/answers/answer";
import { eventsOf, textOf } from "@/answers/sse";
import { POST as askRoute } from "@/app/api/ask/route";
import { GET as health } from "@/app/api/health/route";
import { GET as simple } from "@/app/api/health-simple/route";
import { POST as notesRoute } from "@/app/api/notes/route";
import { POST as deleteRoute } from "@/app/api/notes/[id]/delete/route";
import { cacheAnswers, closeCache } from "@/cache";
import { closeDatabase } from "@/db";
import { serverEnv } from "@/env/server";
import { notesAbout, notesOf, questionsOf } from "@/notes/store";
import { ownerOf } from "@/owner";
import { TestPostgres, TestRedis, until } from "./servers";
import { Upstream } from "./upstream";

const KEY = "sk-canary-5d20c7";
let database: TestPostgres;
let redis: TestRedis;
let upstream: Upstream;
let logged: string[];

before(async () => {
  [database, redis, upstream] = await Promise.all([TestPostgres.start(), TestRedis.start(), Upstream.start()]);
  database.migrate();
  Object.assign(process.env, { DATABASE_URL: database.url, REDIS_URL: redis.url, LOG_LEVEL: "debug" });
  Object.assign(process.env, { OPENAI_BASE_URL: upstream.url, OPENAI_API_KEY: KEY, OPENAI_TIMEOUT: "1" });
  serverEnv();
  mock.method(console, "log", (line: string) => logged.push(line));
  logged = [];
  await until("the cache", async () => (await cacheAnswers()) === true);
});

after(async () => {
  mock.restoreAll();
  upstream.stop();
  await Promise.all([closeDatabase(), closeCache()]);
  await Promise.all([database.stop(), redis.stop()]);
});

beforeEach(() => {
  logged = [];
  upstream.mood = "well";
  upstream.asked.length = 0;
});

afterEach(() => {
  assert.ok(!logged.join("\n").includes(KEY));
  for (const line of logged) assert.equal(typeof (JSON.parse(line) as { level: unknown }).level, "string");
});

/** A browser: keeps the cookie that it is given. */
class Browser {
  cookie = "";

  get owner(): string {
    return ownerOf(this.cookie.slice(8)) ?? assert.fail("no cookie yet");
  }

  private async send(to: (request: Request) => Promise<Response>, init: RequestInit): Promise<Response> {
    const headers = { ...(init.headers as Record<string, string>), ...(this.cookie ? { cookie: this.cookie } : {}) };
    const response = await to(new Request("http://akashic.example/api", { method: "POST", ...init, headers }));
    this.cookie = response.headers.get("set-cookie")?.split(";")[0] ?? this.cookie;
    return response;
  }

  write(title: string, body: string, tags = ""): Promise<Response> {
    return this.send(notesRoute, { body: new URLSearchParams({ title, body, tags }) });
  }

  remove(id: string): Promise<Response> {
    return this.send((request) => deleteRoute(request, { params: Promise.resolve({ id }) }), {});
  }

  post(question: unknown, init: RequestInit = {}): Promise<Response> {
    return this.send(askRoute, { body: JSON.stringify({ question }), ...init });
  }

  async ask(question: string): Promise<{ text: string; titles: readonly string[]; last: Progress }> {
    const { body } = await this.post(question);
    assert.ok(body);
    const found: Progress[] = [];
    for await (const data of eventsOf(textOf(body))) found.push(JSON.parse(data) as Progress);
    const [first, last] = [found[0], found.at(-1)];
    assert.ok(first?.type === "notes" && last);
    return { text: found.map((one) => (one.type === "text" ? one.text : "")).join(""), titles: first.titles, last };
  }
}

async function withNotes(): Promise<Browser> {
  const browser = new Browser();
  await browser.write("Roof", "The roof leaks where the tiles are broken.", "house");
  await browser.write("Garden", "Plant beans in May.");
  return browser;
}

test("notes are written, listed and removed by the browser that has their cookie", async () => {
  const [one, other] = [await withNotes(), await withNotes()];
  const notes = await notesOf(one.owner);
  assert.deepEqual(notes.map(({ title, tags }) => [title, tags]), [["Garden", []], ["Roof", ["house"]]]);
  const id = notes[0]?.id ?? "";
  assert.equal((await other.remove(id)).headers.get("location"), "/");
  assert.equal((await one.remove("' or true --")).headers.get("location"), "/");
  assert.equal((await one.remove(id)).headers.get("location"), "/?removed=1");
  assert.equal((await notesOf(one.owner)).length, 1);
  assert.equal((await notesOf(other.owner)).length, 2);
});

test("a note that is none is sent back", async () => {
  const browser = new Browser();
  const answer = await browser.write("", "text");
  assert.deepEqual([answer.status, answer.headers.get("location")], [303, "/?problem=title#write"]);
  assert.equal(browser.cookie, "");
});

test("notes are found by any word of a question, the nearest first, by their index", async () => {
  const browser = await withNotes();
  await browser.write("Tiles", "Broken tiles: ask about broken tiles at the yard.");
  const found = await notesAbout(browser.owner, "Where are the broken tiles?");
  assert.deepEqual(found.map(({ title }) => title), ["Tiles", "Roof"]);
  assert.deepEqual(await notesAbout(browser.owner, "the of and"), []);
  assert.deepEqual(await notesAbout(browser.owner, "'; drop table notes; -- & | ! :*"), []);
  const plan = database.sql(`set enable_seqscan = off; explain select 1 from notes where to_tsvector('english', "title" || ' ' || "body") @@ 'tile'`);
  assert.match(plan, /notes_words/);
});

test("the model answers from the notes, and its answer is kept", async () => {
  const browser = await withNotes();
  const first = await browser.ask("What about the roof?");
  assert.deepEqual(first, { text: "Repair the tiles — “café” 🏠.", titles: ["Roof"], last: { type: "done", source: "model" } });
  assert.equal(upstream.asked[0]?.key, `Bearer ${KEY}`);
  assert.equal(upstream.asked[0]?.body.model, "gpt-4o-mini");
  assert.doesNotMatch(JSON.stringify(upstream.asked[0]?.body), /beans/);
  const again = await browser.ask("what about  the ROOF?");
  assert.deepEqual([again.text, again.last], [first.text, { type: "done", source: "cache" }]);
  assert.equal(upstream.asked.length, 1);
  assert.deepEqual((await questionsOf(browser.owner)).map(({ source }) => source), ["cache", "model"]);
});

test("nothing is asked of the model when no note speaks of it", async () => {
  const browser = await withNotes();
  const { text, last } = await browser.ask("Quantum chromodynamics?");
  assert.match(text, /None of your notes/);
  assert.deepEqual([last, upstream.asked.length], [{ type: "done", source: "notes" }, 0]);
});

test("a model that fails before its first word leaves the word to the notes", async () => {
  for (const mood of ["refusing", "silent", "garbled", "redirecting"] as const) {
    upstream.mood = mood;
    const { text, last } = await (await withNotes()).ask("What about the roof?");
    assert.equal(text, "Roof: The roof leaks where the tiles are broken.", mood);
    assert.ok(last.type === "done" && last.source === "notes" && last.notice, mood);
  }
});

test("an answer that breaks off is told as such and not kept", async () => {
  const browser = await withNotes();
  upstream.mood = "breaking";
  const broken = await browser.ask("What about the roof?");
  assert.deepEqual([broken.text, broken.last.type], ["Repair the ", "failed"]);
  upstream.mood = "well";
  assert.deepEqual((await browser.ask("What about the roof?")).last, { type: "done", source: "model" });
});

test("a reader who goes away ends the request upstream", async () => {
  const browser = await withNotes();
  upstream.mood = "silent";
  const { body } = await browser.post("What about the roof?");
  const reader = body?.getReader();
  await reader?.read();
  const second = reader?.read();
  await until("the request upstream", () => upstream.open === 1);
  await reader?.cancel();
  await second;
  await until("its end", () => upstream.open === 0, 0.9);
});

test("bad questions are refused", async () => {
  const browser = new Browser();
  assert.equal((await browser.post("")).status, 422);
  assert.equal((await browser.post(7)).status, 422);
  assert.equal((await browser.post("x", { body: "{oops" })).status, 422);
  assert.equal((await browser.post("x", { headers: { "content-length": "9000" } })).status, 413);
  assert.equal((await browser.post("x", { headers: { "sec-fetch-site": "cross-site" } })).status, 403);
  const unformed = await notesRoute(new Request("http://akashic.example", { method: "POST", body: "{}" }));
  assert.equal(unformed.status, 415);
});

test("without Redis everything works and health says so", async () => {
  const state = async () => ((await (await health()).json()) as { status: string }).status;
  assert.equal(await state(), "ok");
  await redis.down();
  const browser = await withNotes();
  for (const _ of [1, 2]) assert.deepEqual((await browser.ask("What about the roof?")).last, { type: "done", source: "model" });
  assert.equal((await health()).status, 200);
  assert.equal(await state(), "degraded");
  await redis.up();
  await until("the cache's return", async () => (await state()) === "ok");
});

test("health follows the database, the simple one does not", async () => {
  await database.down();
  const failing = await health();
  assert.equal(failing.status, 503);
  assert.doesNotMatch(await failing.text(), /127\.0\.0\.1|ECONN|prisma/i);
  assert.equal(simple().status, 200);
  await database.up();
  await until("health after a restart", async () => (await health()).status === 200);
});
