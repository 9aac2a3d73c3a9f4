import { join } from "node:path";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import postgres from "postgres";

export const SECRET = "a secret of the tests, 32 or more characters";

/** Bring a database to the newest schema, with Drizzle's own migrator. */
export async function migrated(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  await migrate(drizzle(sql), { migrationsFolder: join(__dirname, "../src/drizzle/migrations") });
  await sql.end();
}
