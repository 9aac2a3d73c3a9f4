import assert from "node:assert/strict";
import { test } from "node:test";
import { formToken, judge, OLDEST, QUICKEST } from "@/bots";
import { problemText } from "@/courses/answers";
import { applicant, places, standing } from "@/courses/rules";
import { SECRET } from "./setup";

const NOW = 1_800_000_000_000;

test("the first have a place, the others wait in order", () => {
  assert.deepEqual(standing(2, 2), { place: "enrolled" });
  assert.deepEqual(standing(3, 2), { place: "waiting", position: 1 });
  assert.deepEqual(standing(5, 2), { place: "waiting", position: 3 });
});

test("places are told in words", () => {
  const course = { capacity: 2, open: true };
  assert.equal(places({ ...course, asked: 0 }), "2 places left");
  assert.equal(places({ ...course, asked: 1 }), "1 place left");
  assert.equal(places({ ...course, asked: 2 }), "Full; you can wait for a place");
  assert.equal(places({ ...course, asked: 5 }), "Full, 3 waiting");
  assert.equal(places({ ...course, asked: 0, open: false }), "Closed");
});

test("an applicant is tidied", () => {
  assert.deepEqual(applicant.parse({ name: "  Amina \n Diallo ", email: " Amina@Example.ORG " }), {
    name: "Amina Diallo",
    email: "amina@example.org",
  });
});

test("an applicant without a name or an address is none", () => {
  const faults = (value: unknown): string[] =>
    (applicant.safeParse(value).error?.issues ?? []).map((issue) => String(issue.path[0]));
  assert.deepEqual(faults({ name: "   ", email: "a@b.example" }), ["name"]);
  assert.deepEqual(faults({ name: "x".repeat(81), email: "a@b.example" }), ["name"]);
  for (const email of ["", "nobody", "a@b", `${"a".repeat(250)}@b.example`, "a@b.example\u0000"]) {
    assert.deepEqual(faults({ name: "A", email }), ["email"], email);
  }
});

test("only the form that was given out is taken, neither at once nor for ever", () => {
  const token = formToken(SECRET, "sql", NOW);
  const after = (age: number, form = { trap: "", token }) => judge(SECRET, "sql", form, NOW + age);
  assert.equal(after(QUICKEST), "person");
  assert.equal(after(QUICKEST - 1), "too-fast");
  assert.equal(after(OLDEST + 1), "stale");
  assert.equal(after(QUICKEST, { trap: "https://spam.example", token }), "trapped");
  assert.equal(judge(SECRET, "other", { trap: "", token }, NOW + QUICKEST), "forged");
  assert.equal(judge("another secret", "sql", { trap: "", token }, NOW + QUICKEST), "forged");
  for (const forged of ["", ".", token.replace("18", "17"), `${token}x`, "é.é", `${NOW}.`]) {
    assert.equal(after(QUICKEST, { trap: "", token: forged }), "forged", forged);
  }
});

test("only known problems are repeated to a reader", () => {
  assert.match(problemText("already") ?? "", /address/);
  assert.equal(problemText("<b>"), undefined);
  assert.equal(problemText("constructor"), undefined);
});
