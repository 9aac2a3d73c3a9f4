// Writes Prisma's client to src/generated from prisma/schema.prisma. No network: the client asks PostgreSQL through
// a driver adapter and has no engine of its own, but Prisma's command line still looks for its *schema* engine before
// it generates, and would download it. Generating never runs it, so where none is named, any program will do.
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";

const prisma = createRequire(import.meta.url).resolve("prisma/build/index.js");
const { status } = spawnSync(process.execPath, [prisma, "generate", "--no-hints"], {
  stdio: "inherit",
  env: { PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: "1", ...process.env },
});
process.exit(status ?? 1);
