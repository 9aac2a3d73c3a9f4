import assert from "node:assert/strict";
import { test } from "node:test";
import { readClientEnv } from "@/data/env/client.schema";
import { databaseUrl } from "@/data/env/database-url";
import { InvalidEnvironment } from "@/data/env/read";
import { readServerEnv } from "@/data/env/server.schema";

const SECRET = "x".repeat(32);
const PARTS = { DB_HOST: "127.0.0.1", DB_USER: "u", DB_NAME: "darasa" };

function problems(read: () => unknown): readonly string[] {
  try {
    read();
  } catch (fault) {
    assert.ok(fault instanceof InvalidEnvironment);
    return fault.problems;
  }
  return [];
}

test("the given URL wins over the parts", () => {
  assert.equal(databaseUrl({ ...PARTS, DATABASE_URL: "postgresql://a/b" }), "postgresql://a/b");
});

test("a URL is composed from the parts, whatever is in them", () => {
  const url = databaseUrl({ ...PARTS, DB_PORT: "6543", DB_USER: "a:b", DB_PASSWORD: "p@ss/w%rd?", DB_NAME: "d#1" });
  assert.ok(url);
  const read = new URL(url);
  assert.equal(read.host, "127.0.0.1:6543");
  assert.deepEqual([read.username, read.password].map(decodeURIComponent), ["a:b", "p@ss/w%rd?"]);
  assert.equal(decodeURIComponent(read.pathname), "/d#1");
  assert.equal(databaseUrl({ ...PARTS, DB_HOST: "::1" }), "postgresql://u@[::1]:5432/darasa");
});

test("a database elsewhere is asked for TLS", () => {
  assert.match(databaseUrl({ ...PARTS, DB_HOST: "db.example" }) ?? "", /\?sslmode=require$/);
  assert.match(databaseUrl({ ...PARTS, DB_HOST: "db", DB_SSLMODE: "disable" }) ?? "", /\?sslmode=disable$/);
  assert.doesNotMatch(databaseUrl(PARTS) ?? "", /sslmode/);
});

test("some parts are no database", () => {
  assert.equal(databaseUrl({ DB_HOST: "db" }), undefined);
  assert.equal(databaseUrl({}), undefined);
});

test("the server's variables have types and defaults", () => {
  const env = readServerEnv({ ...PARTS, FORM_SECRET: SECRET, LOG_LEVEL: "", DATABASE_POOL_SIZE: "25" });
  assert.deepEqual([env.DATABASE_POOL_SIZE, env.LOG_LEVEL], [25, "info"]);
});

test("everything that is wrong with the server's variables is told at once, without a value", () => {
  const found = problems(() => readServerEnv({ FORM_SECRET: "hunter2", LOG_LEVEL: "loud", DATABASE_POOL_SIZE: "many" }));
  assert.deepEqual(
    found.map((line) => line.split(/[: ]/)[0]),
    ["DATABASE_POOL_SIZE", "DATABASE_URL", "FORM_SECRET", "LOG_LEVEL"],
  );
  assert.match(found[1] ?? "", /DB_HOST/);
  assert.doesNotMatch(found.join(), /hunter2|loud|many/);
  assert.match(problems(() => readServerEnv({ DATABASE_URL: "mysql://a/b", FORM_SECRET: SECRET })).join(), /PostgreSQL/);
});

test("the public variables stop a build when they are wrong, unless it is told to skip them", () => {
  const wrong = { NEXT_PUBLIC_CONTACT_EMAIL: "nobody" };
  assert.deepEqual(problems(() => readClientEnv(wrong)), ["NEXT_PUBLIC_CONTACT_EMAIL: is not an e-mail address"]);
  assert.equal(readClientEnv({ ...wrong, SKIP_ENV_VALIDATION: "1" }).NEXT_PUBLIC_SITE_NAME, "Darasa");
  assert.equal(readClientEnv({ NEXT_PUBLIC_SITE_NAME: "School" }).NEXT_PUBLIC_SITE_NAME, "School");
});

test("no secret is given to a browser", () => {
  const names = Object.keys(readClientEnv({ FORM_SECRET: SECRET, DATABASE_URL: "postgresql://a/b" }));
  assert.ok(names.length > 0 && names.every((name) => name.startsWith("NEXT_PUBLIC_")));
});
