import { ping } from "@/drizzle/db";
import { log } from "@/log";

export const dynamic = "force-dynamic";

/** 200 when PostgreSQL answers a query within two seconds, else 503. */
export async function GET(): Promise<Response> {
  const headers = { "cache-control": "no-store" };
  const release = process.env.GOLIVE_RELEASE ?? null;
  try {
    const database = { ok: true, milliseconds: await ping() };
    return Response.json({ status: "ok", release, checks: { database } }, { headers });
  } catch (error) {
    log("error", "health check failed", { error });
    const checks = { database: { ok: false } };
    return Response.json({ status: "failing", release, checks }, { status: 503, headers });
  }
}
