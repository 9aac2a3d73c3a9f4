// Is the deployed Darasa at SMOKE_URL all there? Takes a place in a course and gives it up again: nothing stays.
//   SMOKE_URL=https://darasa.localhost npm run smoke
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { request } from "./request.mjs";

if (!process.env.SMOKE_URL) {
  console.error("SMOKE_URL has to name the deployed application.");
  process.exit(2);
}
const base = new URL(process.env.SMOKE_URL);
const at = (path) => new URL(path, base);
const wait = 2_000; // the form takes nothing that comes quicker than a person

const steps = {
  async "the database answers"() {
    const { status, text } = await request(at("/api/health"));
    assert.equal(status, 200, text);
    assert.equal(JSON.parse(text).checks.database.ok, true);
  },
  async "every script of a page carries the nonce of its policy"() {
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
    assert.equal((await request(at("/courses/no-such-course"))).status, 404);
    assert.equal((await request(at("/enrolments/no-such-receipt"))).status, 404);
  },
  async "a place is taken and given up"() {
    const home = await request(at("/"));
    const path = /href="(\/courses\/[\w-]+)"/.exec(home.text)?.[1];
    assert.ok(path, "there is no course");
    const page = await request(at(path));
    const token = /name="token" value="([^"]+)"/.exec(page.text)?.[1];
    assert.ok(token, "the form carries no token");
    await sleep(wait);
    const email = `smoke-${Date.now()}@darasa.example`;
    const send = (fields) =>
      request(at(`${path}/enrol`), {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin" },
        body: String(new URLSearchParams({ name: "Smoke", email, website: "", token, ...fields })),
      });
    assert.match((await send({ website: "https://spam.example" })).headers.location ?? "", /problem=refused/);
    const { status, headers } = await send({});
    assert.equal(status, 303);
    assert.match(headers.location ?? "", /^\/enrolments\/[\w-]+$/);
    const receipt = await request(at(headers.location));
    assert.equal(receipt.status, 200);
    const left = await request(at(`${headers.location}/leave`), { method: "POST" });
    assert.equal(left.status, 303);
    assert.equal((await request(at(headers.location))).status, 404);
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
