import { z } from "zod";

/** Who asks for a place. E-mail addresses are compared without regard to case. */
export const applicant = z.object({
  name: z
    .string()
    .transform((text) => text.normalize("NFC").replace(/\s+/g, " ").trim())
    .pipe(z.string().min(1, "Please tell us your name.").max(80, "That name is longer than 80 characters.")),
  email: z
    .string()
    .trim()
    .toLowerCase()
    .pipe(z.string().min(1, "Please tell us your e-mail address.").max(254, "That address is too long.").pipe(z.email("That is not an e-mail address."))),
});
export type Applicant = z.output<typeof applicant>;

export type Places = { readonly capacity: number; readonly asked: number };
export type Standing = { readonly place: "enrolled" } | { readonly place: "waiting"; readonly position: number };

/** Where the `rank`th of those who asked stands; ranks begin at 1, and so do positions on the waiting list. */
export function standing(rank: number, capacity: number): Standing {
  return rank <= capacity ? { place: "enrolled" } : { place: "waiting", position: rank - capacity };
}

export function placesLeft({ capacity, asked }: Places): number {
  return Math.max(0, capacity - asked);
}

/** A course's places in words. */
export function places(course: Places & { readonly open: boolean }): string {
  if (!course.open) return "Closed";
  const left = placesLeft(course);
  if (left > 0) return left === 1 ? "1 place left" : `${left} places left`;
  const waiting = course.asked - course.capacity;
  return waiting ? `Full, ${waiting} waiting` : "Full; you can wait for a place";
}
