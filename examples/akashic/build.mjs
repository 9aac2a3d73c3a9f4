// The whole build: Prisma's client, then Next.js within a stated memory, then what `.next/standalone` leaves out.
// BUILD_MEMORY_MB sets the limit of V8's heap, unless NODE_OPTIONS sets it already.
import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { createRequire } from "node:module";

const memory = process.env.BUILD_MEMORY_MB || "2048";
if (!/^[1-9]\d{2,5}$/.test(memory)) {
  console.error("BUILD_MEMORY_MB has to be a number of megabytes, 100 or more.");
  process.exit(1);
}
const given = process.env.NODE_OPTIONS ?? "";
const options = given.includes("--max-old-space-size") ? given : `${given} --max-old-space-size=${memory}`.trim();

function run(...argv) {
  const env = { NEXT_TELEMETRY_DISABLED: "1", ...process.env, NODE_OPTIONS: options };
  const { status, signal } = spawnSync(process.execPath, argv, { stdio: "inherit", env });
  if (signal) console.error(`${argv[0]} was ended by ${signal}; with too little memory, raise BUILD_MEMORY_MB.`);
  if (status !== 0) process.exit(status ?? 1);
}

console.log(`Building with ${options}`);
run("scripts/generate.mjs");
run(createRequire(import.meta.url).resolve("next/dist/bin/next"), "build");
cpSync(".next/static", ".next/standalone/.next/static", { recursive: true });
