// Is the deployed Akashic at SMOKE_URL all there? Writes a note, asks about it and removes it again.
//   SMOKE_URL=https://akashic.localhost npm run smoke
import assert from "node:assert/strict";
import { request } from "./request.mjs";

if (!process.env.SMOKE_URL) {
  console.error("SMOKE_URL has to name the deployed application.");
  process.exit(2);
}
const base = new URL(process.env.SMOKE_URL);
const at = (path) => new URL(path, base);
let cookie = "";

async function post(path, type, body) {
  const headers = { "content-type": type, "sec-fetch-site": "same-origin", ...(cookie && { cookie }) };
  const answer = await request(at(path), { method: "POST", headers, body });
  cookie = answer.headers["set-cookie"]?.[0]?.split(";")[0] ?? cookie;
  return answer;
}

const steps = {
  async "the process and its database answer"() {
    assert.equal((await request(at("/api/health-simple"))).status, 200);
    const { status, text } = await request(at("/api/health"));
    assert.equal(status, 200, text);
    assert.equal(JSON.parse(text).checks.database.ok, true);
  },
  async "every script of the page carries the nonce of its policy"() {
    const { status, headers, text } = await request(at("/"));
    assert.equal(status, 200);
    const nonce = /'nonce-([^']+)'/.exec(String(headers["content-security-policy"]))?.[1];
    assert.ok(nonce, "the page has no policy with a nonce");
    const scripts = text.match(/<script\b[^>]*>/g) ?? [];
    assert.ok(scripts.length > 0 && scripts.every((tag) => tag.includes(`nonce="${nonce}"`)));
    const asset = /(?:href|src)="(\/_next\/static\/[^"]+\.(?:css|js)[^"]*)"/.exec(text)?.[1];
    assert.ok(asset, "the page names no asset");
    assert.equal((await request(at(asset))).status, 200);
  },
  async "what is not there is not found"() {
    assert.equal((await request(at("/no-such-page"))).status, 404);
  },
  async "a note is kept, answers and is removed"() {
    const form = "application/x-www-form-urlencoded";
    const note = { title: "Smoke", body: "Where there is smoke there is a chimney.", tags: "smoke" };
    const written = await post("/api/notes", form, String(new URLSearchParams(note)));
    assert.deepEqual([written.status, written.headers.location], [303, "/?written=1"]);
    const page = await request(at("/"), { headers: { cookie } });
    const id = /\/api\/notes\/([\da-f-]{36})\/delete/.exec(page.text)?.[1];
    assert.ok(id, "the page does not show the note");
    const answer = await post("/api/ask", "application/json", JSON.stringify({ question: "Where is the chimney?" }));
    assert.equal(answer.status, 200, answer.text);
    const events = [...answer.text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data));
    assert.deepEqual(events[0], { type: "notes", titles: ["Smoke"] });
    assert.equal(events.at(-1).type, "done");
    const removed = await post(`/api/notes/${id}/delete`, form, "");
    assert.deepEqual([removed.status, removed.headers.location], [303, "/?removed=1"]);
  },
};

let failed = false;
for (const [name, step] of Object.entries(steps)) {
  try {
    await step();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed = true;
    console.log(`FAILED  ${name}\n        ${error.message}`);
  }
}
process.exit(failed ? 1 : 0);
