import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ended, freePort, TestPostgres, until } from "../postgres";
import { migrated, SECRET } from "../setup";

const HOME = join(__dirname, "../..");
const SERVER = join(HOME, ".next/standalone/server.js");

let database: TestPostgres;
before(async () => {
  assert.ok(existsSync(SERVER), "npm run build comes first");
  database = await TestPostgres.start();
  await migrated(database.url);
});
after(() => database.stop());

type Running = { child: ChildProcess; output: () => string };

function run(file: string, env: Record<string, string>): Running {
  const child = spawn(process.execPath, [file], { cwd: HOME, env: { NODE_ENV: "production", PATH: process.env.PATH, ...env } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)));
  return { child, output: () => output };
}

test("the built server passes the smoke test and ends when it is told to", async () => {
  const port = String(await freePort());
  const url = `http://127.0.0.1:${port}`;
  const app = run(SERVER, { ...database.parts, FORM_SECRET: SECRET, PORT: port, HOSTNAME: "127.0.0.1" });
  try {
    await until("the start of the server", async () => (await fetch(`${url}/api/health`)).ok);
    const smoke = run("scripts/smoke.mjs", { SMOKE_URL: url });
    await ended(smoke.child);
    assert.equal(smoke.child.exitCode, 0, smoke.output() + app.output());
    assert.ok(!app.output().includes(SECRET));
  } finally {
    app.child.kill("SIGTERM");
    await ended(app.child);
  }
  assert.ok(app.child.exitCode === 0 || app.child.exitCode === 143, app.output());
});

test("a server without its variables says all that is missing, and ends", async () => {
  const app = run(SERVER, { PORT: String(await freePort()), HOSTNAME: "127.0.0.1", LOG_LEVEL: "error" });
  await ended(app.child);
  assert.equal(app.child.exitCode, 1);
  assert.match(app.output(), /DATABASE_URL is not set/);
  assert.match(app.output(), /FORM_SECRET is not set/);
});
