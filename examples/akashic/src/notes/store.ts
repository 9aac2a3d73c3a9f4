import "server-only";
import { db } from "@/db";
import { Prisma, type AnswerSource } from "@/generated/prisma/client";
import type { NewNote } from "./rules";

export type Found = { readonly id: string; readonly title: string; readonly body: string };
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

export async function addNote(owner: string, note: NewNote): Promise<string> {
  return (await db().note.create({ data: { owner, ...note }, select: { id: true } })).id;
}

export async function notesOf(owner: string, limit = 50) {
  const select = { id: true, title: true, body: true, tags: true, createdAt: true };
  return db().note.findMany({ where: { owner }, select, orderBy: { createdAt: "desc" }, take: limit });
}

/** Remove a note of this owner; false when they have no such note. */
export async function removeNote(owner: string, id: string): Promise<boolean> {
  if (!UUID.test(id)) return false;
  return (await db().note.deleteMany({ where: { owner, id } })).count > 0;
}

const wordsOf = Prisma.sql`to_tsvector('english', "title" || ' ' || "body")`; // as the index notes_words has it

/** The notes that share words with `text`, those that share most first. */
export async function notesAbout(owner: string, text: string, limit = 5): Promise<Found[]> {
  return db().$queryRaw<Found[]>`
    WITH asked AS (SELECT replace(plainto_tsquery('english', ${text})::text, '&', '|')::tsquery AS words)
    SELECT "id", "title", "body" FROM "notes", asked
    WHERE "owner" = ${owner} AND ${wordsOf} @@ asked.words
    ORDER BY ts_rank(${wordsOf}, asked.words) DESC, "created_at" DESC, "id" LIMIT ${limit}`;
}

export async function recordQuestion(owner: string, text: string, answer: string, source: AnswerSource): Promise<void> {
  await db().question.create({ data: { owner, text, answer, source } });
}

export async function questionsOf(owner: string, limit = 5) {
  const select = { id: true, text: true, answer: true, source: true };
  return db().question.findMany({ where: { owner }, select, orderBy: { createdAt: "desc" }, take: limit });
}
