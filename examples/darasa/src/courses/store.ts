import "server-only";
import { createHash, randomBytes } from "node:crypto";
import { and, asc, count, eq, lte } from "drizzle-orm";
import { db } from "@/drizzle/db";
import { courses, enrolments } from "@/drizzle/schema";
import { standing, type Applicant, type Places, type Standing } from "./rules";

export type Course = Places & {
  readonly slug: string;
  readonly title: string;
  readonly summary: string;
  readonly hours: number;
  readonly open: boolean;
};
export type Enrolment = { readonly name: string; readonly course: string; readonly slug: string; readonly standing: Standing };
export type Enrolled =
  | { readonly outcome: "taken"; readonly receipt: string; readonly standing: Standing }
  | { readonly outcome: "already" | "closed" | "unknown" };

const digest = (receipt: string): string => createHash("sha256").update(receipt).digest("hex");

function listing() {
  return db()
    .select({
      slug: courses.slug,
      title: courses.title,
      summary: courses.summary,
      hours: courses.hours,
      open: courses.open,
      capacity: courses.capacity,
      asked: count(enrolments.id),
    })
    .from(courses)
    .leftJoin(enrolments, eq(enrolments.courseId, courses.id))
    .groupBy(courses.id)
    .orderBy(asc(courses.title))
    .$dynamic();
}

export async function allCourses(): Promise<Course[]> {
  return listing();
}

export async function courseBySlug(slug: string): Promise<Course | undefined> {
  return (await listing().where(eq(courses.slug, slug)))[0];
}

/** Ask for a place. The course's row is locked meanwhile, so that those who ask are told their true rank. */
export async function enrol(slug: string, person: Applicant): Promise<Enrolled> {
  return db().transaction(async (tx): Promise<Enrolled> => {
    const [course] = await tx.select().from(courses).where(eq(courses.slug, slug)).for("update");
    if (!course) return { outcome: "unknown" };
    if (!course.open) return { outcome: "closed" };
    const receipt = randomBytes(24).toString("base64url");
    const [made] = await tx
      .insert(enrolments)
      .values({ courseId: course.id, name: person.name, email: person.email, receipt: digest(receipt) })
      .onConflictDoNothing()
      .returning({ id: enrolments.id });
    if (!made) return { outcome: "already" };
    const [ahead] = await tx.select({ rank: count() }).from(enrolments).where(eq(enrolments.courseId, course.id));
    return { outcome: "taken", receipt, standing: standing(ahead?.rank ?? 1, course.capacity) };
  });
}

/** What a receipt stands for, as it is now. */
export async function enrolmentByReceipt(receipt: string): Promise<Enrolment | undefined> {
  const [found] = await db()
    .select({
      id: enrolments.id,
      courseId: courses.id,
      name: enrolments.name,
      course: courses.title,
      slug: courses.slug,
      capacity: courses.capacity,
    })
    .from(enrolments)
    .innerJoin(courses, eq(courses.id, enrolments.courseId))
    .where(eq(enrolments.receipt, digest(receipt)));
  if (!found) return undefined;
  const [ahead] = await db()
    .select({ rank: count() })
    .from(enrolments)
    .where(and(eq(enrolments.courseId, found.courseId), lte(enrolments.id, found.id)));
  const { name, course, slug } = found;
  return { name, course, slug, standing: standing(ahead?.rank ?? 1, found.capacity) };
}

/** Give the place up; whoever waits longest has it from then on. False when the receipt is not known. */
export async function leave(receipt: string): Promise<boolean> {
  const gone = await db().delete(enrolments).where(eq(enrolments.receipt, digest(receipt))).returning({ id: enrolments.id });
  return gone.length > 0;
}
