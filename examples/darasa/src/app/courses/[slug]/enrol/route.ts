import { judge, TRAP, type Verdict } from "@/bots";
import { PROBLEMS, type ProblemCode } from "@/courses/answers";
import { applicant } from "@/courses/rules";
import { enrol } from "@/courses/store";
import { serverEnv } from "@/data/env/server";
import { log } from "@/log";

const REFUSALS: Record<Exclude<Verdict, "person">, ProblemCode> = {
  trapped: "refused",
  forged: "refused",
  "too-fast": "too-fast",
  stale: "stale",
};
const FORMS = ["application/x-www-form-urlencoded", "multipart/form-data"];

type Context = { params: Promise<{ slug: string }> };

function moved(to: string): Response {
  return new Response(null, { status: 303, headers: { location: to, "cache-control": "no-store" } });
}

/**
 * A place for whoever filled in the form. Scripts ask for JSON; a browser without any is sent on to a page.
 * A route, not a server action: its address is the same in every release, so a page that was loaded before a
 * deploy can still be sent after it.
 */
export async function POST(request: Request, { params }: Context): Promise<Response> {
  const { slug } = await params;
  const json = (request.headers.get("accept") ?? "").includes("application/json");
  const refuse = (code: ProblemCode): Response => {
    const [problem, status] = PROBLEMS[code];
    return json ? Response.json({ code, problem }, { status }) : moved(`/courses/${encodeURIComponent(slug)}?problem=${code}#enrol`);
  };

  if (!FORMS.some((type) => request.headers.get("content-type")?.startsWith(type))) {
    return Response.json({ problem: "send the fields as a form" }, { status: 415 });
  }
  const form = await request.formData().catch(() => undefined);
  const text = (name: string): string => {
    const value = form?.get(name);
    return typeof value === "string" ? value : "";
  };

  const verdict = judge(serverEnv().FORM_SECRET, slug, { trap: text(TRAP), token: text("token") }, Date.now());
  if (verdict !== "person") {
    log("warn", "form refused", { verdict, course: slug, request: request.headers.get("x-request-id") });
    return refuse(REFUSALS[verdict]);
  }
  const person = applicant.safeParse({ name: text("name"), email: text("email") });
  if (!person.success) return refuse(person.error.issues.some(({ path }) => path[0] === "name") ? "name" : "email");

  const result = await enrol(slug, person.data);
  if (result.outcome === "unknown") return Response.json({ problem: "no such course" }, { status: 404 });
  if (result.outcome !== "taken") return refuse(result.outcome);
  log("info", "enrolled", { course: slug, place: result.standing.place });
  const place = `/enrolments/${result.receipt}`;
  if (!json) return moved(place);
  return Response.json({ receipt: result.receipt, ...result.standing }, { status: 201, headers: { location: place } });
}
