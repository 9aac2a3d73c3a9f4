/** Why an enrolment was not taken: the code that travels, what a person reads, and the status of the answer. */
export const PROBLEMS = {
  name: ["Please tell us your name, in at most 80 characters.", 422],
  email: ["That is not an e-mail address.", 422],
  already: ["That address already has a place or waits for one.", 409],
  closed: ["This course takes nobody any more.", 409],
  "too-fast": ["That was quicker than people are. Please wait a moment and send it again.", 400],
  stale: ["This page was open for a long time. Load it again and send the form once more.", 400],
  refused: ["This form could not be accepted. Load the page again and leave the hidden field empty.", 400],
} as const satisfies Record<string, readonly [string, number]>;

export type ProblemCode = keyof typeof PROBLEMS;

export function problemText(code: string | undefined): string | undefined {
  return code !== undefined && Object.hasOwn(PROBLEMS, code) ? PROBLEMS[code as ProblemCode][0] : undefined;
}
