import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { sql } from "drizzle-orm";
import { GET as health } from "@/app/api/health/route";
import { POST as enrolRoute } from "@/app/courses/[slug]/enrol/route";
import { POST as leaveRoute } from "@/app/enrolments/[receipt]/leave/route";
import { formToken, QUICKEST } from "@/bots";
import { allCourses, courseBySlug, enrol, enrolmentByReceipt, leave } from "@/courses/store";
import { closeDatabase, db } from "@/drizzle/db";
import { TestPostgres, until } from "./postgres";
import { migrated, SECRET } from "./setup";

let server: TestPostgres;
const person = (n: number) => ({ name: `Person ${n}`, email: `p${n}@example.org` });

before(async () => {
  server = await TestPostgres.start();
  await migrated(server.url);
  await migrated(server.url); // a second time there is nothing to do
  delete process.env.DATABASE_URL;
  Object.assign(process.env, { ...server.parts, FORM_SECRET: SECRET, LOG_LEVEL: "error" });
});

after(async () => {
  await closeDatabase();
  await server.stop();
});

beforeEach(async () => {
  await db().execute(sql`delete from courses where slug in ('small', 'shut')`);
  await db().execute(sql`insert into courses (slug, title, summary, hours, capacity, open)
    values ('small', 'Small', 'Two places.', 1, 2, true), ('shut', 'Shut', 'None.', 1, 2, false)`);
});

async function taken(slug: string, n: number): Promise<string> {
  const result = await enrol(slug, person(n));
  assert.ok(result.outcome === "taken");
  return result.receipt;
}

test("the migrations bring the first courses", async () => {
  const courses = await allCourses();
  assert.ok(courses.some(({ slug, asked }) => slug === "reading-a-trace" && asked === 0));
});

test("a course is filled, then waited for", async () => {
  const places = [];
  for (const n of [1, 2, 3, 4]) {
    const result = await enrol("small", person(n));
    assert.ok(result.outcome === "taken");
    places.push(result.standing);
  }
  const waiting = (position: number) => ({ place: "waiting", position });
  assert.deepEqual(places, [{ place: "enrolled" }, { place: "enrolled" }, waiting(1), waiting(2)]);
  assert.equal((await courseBySlug("small"))?.asked, 4);
});

test("twenty at once get two places and eighteen positions, none twice", async () => {
  const results = await Promise.all(Array.from({ length: 20 }, (_, n) => enrol("small", person(n))));
  const told = results.map((result) => {
    assert.ok(result.outcome === "taken");
    return result.standing.place === "enrolled" ? 0 : result.standing.position;
  });
  assert.deepEqual(
    told.sort((a, b) => a - b),
    [0, 0, ...Array.from({ length: 18 }, (_, n) => n + 1)],
  );
});

test("who leaves makes room for who waits longest", async () => {
  const [first, , third, fourth] = [await taken("small", 1), await taken("small", 2), await taken("small", 3), await taken("small", 4)];
  assert.equal(await leave(first), true);
  assert.equal(await leave(first), false);
  assert.equal(await enrolmentByReceipt(first), undefined);
  assert.deepEqual((await enrolmentByReceipt(third))?.standing, { place: "enrolled" });
  assert.deepEqual((await enrolmentByReceipt(fourth))?.standing, { place: "waiting", position: 1 });
});

test("an address takes one place in a course, a course that is shut takes nobody", async () => {
  await taken("small", 1);
  assert.deepEqual(await enrol("small", person(1)), { outcome: "already" });
  assert.deepEqual(await enrol("shut", person(1)), { outcome: "closed" });
  assert.deepEqual(await enrol("none", person(1)), { outcome: "unknown" });
});

test("the table does not give receipts away", async () => {
  const receipt = await taken("small", 1);
  assert.equal((await db().execute(sql`select 1 from enrolments where receipt = ${receipt}`)).length, 0);
});

async function send(fields: Record<string, string>, accept = "application/json", slug = "small"): Promise<Response> {
  const token = formToken(SECRET, slug, Date.now() - QUICKEST - 10);
  const body = new URLSearchParams({ token, website: "", name: "Amina", email: "amina@example.org", ...fields });
  const request = new Request("http://darasa.example/enrol", { method: "POST", body, headers: { accept } });
  return enrolRoute(request, { params: Promise.resolve({ slug }) });
}

test("a form without scripts is sent on to the receipt, and back with what was wrong", async () => {
  const good = await send({}, "text/html");
  assert.equal(good.status, 303);
  const receipt = (good.headers.get("location") ?? "").replace("/enrolments/", "");
  assert.equal((await enrolmentByReceipt(receipt))?.name, "Amina");
  const again = await send({}, "text/html");
  assert.deepEqual([again.status, again.headers.get("location")], [303, "/courses/small?problem=already#enrol"]);
  const left = await leaveRoute(new Request("http://darasa.example", { method: "POST" }), { params: Promise.resolve({ receipt }) });
  assert.deepEqual([left.status, left.headers.get("location")], [303, "/?left=1"]);
  assert.equal(await enrolmentByReceipt(receipt), undefined);
});

test("a script is told in JSON", async () => {
  const good = await send({});
  assert.equal(good.status, 201);
  assert.equal(((await good.json()) as { place: string }).place, "enrolled");
  for (const [fields, code, status] of [
    [{ name: " " }, "name", 422],
    [{ email: "nobody" }, "email", 422],
    [{}, "already", 409],
    [{ website: "https://spam.example" }, "refused", 400],
    [{ token: "1.forged" }, "refused", 400],
    [{ token: formToken(SECRET, "small", Date.now()) }, "too-fast", 400],
  ] as const) {
    const answer = await send(fields);
    assert.deepEqual([answer.status, ((await answer.json()) as { code: string }).code], [status, code]);
  }
  assert.equal((await send({}, "application/json", "none")).status, 404);
  assert.equal((await courseBySlug("small"))?.asked, 1);
});

test("what is no form is refused", async () => {
  for (const headers of [{ "content-type": "application/json" }, { "content-type": "multipart/form-data" }]) {
    const request = new Request("http://darasa.example", { method: "POST", body: "{}", headers });
    const answer = await enrolRoute(request, { params: Promise.resolve({ slug: "small" }) });
    assert.ok([303, 415].includes(answer.status), String(answer.status));
  }
  assert.equal((await courseBySlug("small"))?.asked, 0);
});

test("health follows the database", async () => {
  assert.equal((await health()).status, 200);
  await server.down();
  const failing = await health();
  assert.equal(failing.status, 503);
  assert.doesNotMatch(await failing.text(), /127\.0\.0\.1|ECONN/);
  await server.up();
  await until("health after a restart", async () => (await health()).status === 200);
});
