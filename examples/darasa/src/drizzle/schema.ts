import { sql } from "drizzle-orm";
import { bigint, boolean, check, index, integer, pgTable, text, timestamp, uniqueIndex } from "drizzle-orm/pg-core";

export const courses = pgTable(
  "courses",
  {
    id: bigint({ mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
    slug: text().notNull().unique(),
    title: text().notNull(),
    summary: text().notNull(),
    hours: integer().notNull(),
    capacity: integer().notNull(),
    open: boolean().notNull().default(true),
  },
  (table) => [
    check("courses_capacity_positive", sql`${table.capacity} > 0`),
    check("courses_hours_positive", sql`${table.hours} > 0`),
  ],
);

/** Who asked for a place, in the order in which they did: the first `capacity` have one, the others wait. */
export const enrolments = pgTable(
  "enrolments",
  {
    id: bigint({ mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
    courseId: bigint("course_id", { mode: "number" })
      .notNull()
      .references(() => courses.id, { onDelete: "cascade" }),
    name: text().notNull(),
    email: text().notNull(),
    /** SHA-256 of the receipt: who reads the table cannot give up somebody's place. */
    receipt: text().notNull().unique(),
    createdAt: timestamp("created_at", { withTimezone: true }).notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex("enrolments_course_email").on(table.courseId, sql`lower(${table.email})`),
    index("enrolments_course_order").on(table.courseId, table.id),
  ],
);
