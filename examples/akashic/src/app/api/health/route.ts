import { cacheAnswers } from "@/cache";
import { db } from "@/db";
import { log } from "@/log";
import { within } from "@/within";

export const dynamic = "force-dynamic";

/**
 * 200 when PostgreSQL answers a query within two seconds, else 503. A Redis that is configured and silent makes it
 * "degraded", still with 200: every page works without a cache, so no instance is to lose its traffic for it.
 */
export async function GET(): Promise<Response> {
  const started = performance.now();
  const database = within(2_000, db().$queryRaw`SELECT 1`).then(
    () => ({ ok: true, milliseconds: Math.round((performance.now() - started) * 10) / 10 }),
    (error: unknown) => {
      log("error", "health check failed", { error });
      return { ok: false };
    },
  );
  const [found, cache] = await Promise.all([database, cacheAnswers()]);
  const status = !found.ok ? "failing" : cache === false ? "degraded" : "ok";
  const checks = { database: found, ...(cache === undefined ? {} : { cache: { ok: cache } }) };
  const release = process.env.GOLIVE_RELEASE ?? null;
  return Response.json({ status, release, checks }, { status: found.ok ? 200 : 503, headers: { "cache-control": "no-store" } });
}
