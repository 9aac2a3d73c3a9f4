export const dynamic = "force-dynamic";

/** The process answers. Nothing else is asked: restarting it would mend no database. */
export function GET(): Response {
  return Response.json({ status: "ok" }, { headers: { "cache-control": "no-store" } });
}
