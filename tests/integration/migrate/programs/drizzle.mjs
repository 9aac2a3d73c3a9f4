// drizzle-orm's own migrator.
import path from "node:path";
import { createRequire } from "node:module";

const [, , packages, folder, url, schema, table] = process.argv;
const require = createRequire(path.join(packages, "package.json"));
const { drizzle } = require("drizzle-orm/node-postgres");
const { migrate } = require("drizzle-orm/node-postgres/migrator");
const pg = require("pg");
const pool = new pg.Pool({ connectionString: url, max: 1 });
await migrate(drizzle(pool), { migrationsFolder: folder, migrationsSchema: schema, migrationsTable: table });
await pool.end();
