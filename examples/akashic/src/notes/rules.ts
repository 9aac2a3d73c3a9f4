import { z } from "zod";

export const LIMITS = { title: 120, body: 10_000, tags: 8, tag: 30, question: 500 } as const;

const trimmed = (max: number, empty: string) =>
  z
    .string()
    .transform((text) => text.normalize("NFC").replaceAll("\0", "").trim())
    .pipe(z.string().min(1, empty).max(max, `That is longer than ${max} characters.`));

/** "Roof, house , roof" is two tags. */
export function tagsOf(text: string): string[] {
  const found = text.split(",").map((tag) => tag.trim().toLowerCase().slice(0, LIMITS.tag));
  return [...new Set(found.filter(Boolean))].slice(0, LIMITS.tags);
}

export const newNote = z.object({
  title: trimmed(LIMITS.title, "A note needs a title."),
  body: trimmed(LIMITS.body, "A note needs a text."),
  tags: z.string().default("").transform(tagsOf),
});
export type NewNote = z.output<typeof newNote>;

export const question = trimmed(LIMITS.question, "Ask something.");
