import "server-only";
import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { serverEnv } from "@/data/env/server";
import * as schema from "./schema";

export type Database = PostgresJsDatabase<typeof schema>;
type Open = { sql: postgres.Sql; database: Database };

// On globalThis: a reload in development makes this module anew, and the pool must not be.
const place = globalThis as typeof globalThis & { darasaDatabase?: Open };

function open(): Open {
  const env = serverEnv();
  const sql = postgres(env.DATABASE_URL, {
    max: env.DATABASE_POOL_SIZE,
    connect_timeout: 5,
    max_lifetime: 300,
    connection: { application_name: "darasa" },
  });
  return { sql, database: drizzle(sql, { schema }) };
}

/** The database of DATABASE_URL; connected when first used. */
export function db(): Database {
  place.darasaDatabase ??= open();
  return place.darasaDatabase.database;
}

/** One round trip to the database, in milliseconds. Throws when there is no answer within `timeout` milliseconds. */
export async function ping(timeout = 2000): Promise<number> {
  const started = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeout} ms`)), timeout);
  });
  try {
    await Promise.race([db().execute("select 1"), late]);
  } finally {
    clearTimeout(timer);
  }
  return Math.round((performance.now() - started) * 10) / 10;
}

/** End every connection; the next query makes new ones. */
export async function closeDatabase(): Promise<void> {
  const { darasaDatabase } = place;
  delete place.darasaDatabase;
  await darasaDatabase?.sql.end({ timeout: 5 });
}
