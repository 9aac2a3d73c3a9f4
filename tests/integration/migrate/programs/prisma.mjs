// Prisma's own schema engine (its WebAssembly build): what `prisma migrate status` and `migrate deploy` ask of it.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const [, , packages, command, folder, url, name] = process.argv;
const require = createRequire(path.join(packages, "package.json"));
const { PrismaPg } = require("@prisma/adapter-pg");
const { bindMigrationAwareSqlAdapterFactory } = require("@prisma/driver-adapter-utils");
const home = path.dirname(require.resolve("@prisma/schema-engine-wasm"));
const bindings = await import(path.join(home, "schema_engine_bg.js"));
const module = fs.readFileSync(path.join(home, "schema_engine_bg.wasm"));
const { instance } = await WebAssembly.instantiate(module, { "./schema_engine_bg.js": bindings });
bindings.__wbg_set_wasm(instance.exports);
instance.exports.__wbindgen_start();

const read = (file) => fs.readFileSync(path.join(folder, file), "utf8");
const isFolder = (entry) => fs.statSync(path.join(folder, entry)).isDirectory();
const migrationsList = {
  baseDir: folder,
  lockfile: { path: "migration_lock.toml", content: read("migration_lock.toml") },
  shadowDbInitScript: "",
  migrationDirectories: fs.readdirSync(folder).filter(isFolder).sort().map((entry) => ({
    path: entry,
    migrationFile: { path: "migration.sql", content: { tag: "ok", value: read(`${entry}/migration.sql`) } },
  })),
};
const filters = { externalTables: [], externalEnums: [] };
const factory = bindMigrationAwareSqlAdapterFactory(new PrismaPg({ connectionString: url }));
const engine = await bindings.SchemaEngine.new({ datamodels: undefined }, () => {}, factory);
const commands = {
  deploy: () => engine.applyMigrations({ migrationsList, filters }),
  status: () => engine.diagnoseMigrationHistory({ migrationsList, optInToShadowDatabase: false, filters }),
  applied: () => engine.markMigrationApplied({ migrationName: name, migrationsList }),
  "rolled-back": () => engine.markMigrationRolledBack({ migrationName: name }),
};
try {
  console.log(JSON.stringify((await commands[command]()) ?? {}));
} catch (error) {
  console.log(JSON.stringify({ error: String(error.message ?? error) }));
  process.exit(1);
}
process.exit(0);
