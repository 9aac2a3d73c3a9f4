export const dynamic = "force-dynamic";

/** This process answers. What the API needs is the API's to tell: /health and /readiness. */
export function GET() {
  return Response.json({ status: "healthy" }, { headers: { "Cache-Control": "no-store" } });
}
