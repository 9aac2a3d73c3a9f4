import { cookies } from "next/headers";
import { excerpt } from "@/answers/prompt";
import { AskForm } from "@/components/AskForm";
import { LIMITS } from "@/notes/rules";
import { notesOf, questionsOf } from "@/notes/store";
import { COOKIE, ownerOf } from "@/owner";

type Props = { searchParams: Promise<{ problem?: string; written?: string; removed?: string }> };

const SOURCES = { model: "written by the model", cache: "written by the model before", notes: "from the notes themselves" };

export default async function Home({ searchParams }: Props) {
  const owner = ownerOf((await cookies()).get(COOKIE)?.value);
  const [notes, questions, { problem, written, removed }] = await Promise.all([
    owner ? notesOf(owner) : [],
    owner ? questionsOf(owner) : [],
    searchParams,
  ]);
  const news = written ? "Your note is kept." : removed ? "The note is gone." : undefined;
  return (
    <>
      {news && (
        <p className="notice" role="status">
          {news}
        </p>
      )}
      <section aria-labelledby="ask-title">
        <h2 id="ask-title">Ask</h2>
        <AskForm longest={LIMITS.question} />
      </section>
      <section id="write" aria-labelledby="write-title">
        <h2 id="write-title">Write a note</h2>
        <form action="/api/notes" method="post" className="card">
          {problem && (
            <p className="problem" role="alert">
              {problem === "title" ? `A note needs a title of at most ${LIMITS.title} characters.` : "A note needs a text."}
            </p>
          )}
          <label htmlFor="title">Title</label>
          <input id="title" name="title" required maxLength={LIMITS.title} />
          <label htmlFor="body">Text</label>
          <textarea id="body" name="body" rows={5} required maxLength={LIMITS.body} />
          <label htmlFor="tags">Tags, with commas between</label>
          <input id="tags" name="tags" />
          <button type="submit">Keep it</button>
        </form>
      </section>
      <section aria-labelledby="notes-title">
        <h2 id="notes-title">Your notes</h2>
        {notes.length === 0 && <p className="quiet">Nothing yet.</p>}
        <ul className="cards">
          {notes.map((note) => (
            <li key={note.id} className="card">
              <h3>{note.title}</h3>
              <p>{excerpt(note.body)}</p>
              <div className="row">
                <span className="quiet">{note.tags.map((tag) => `#${tag}`).join(" ")}</span>
                <form action={`/api/notes/${note.id}/delete`} method="post">
                  <button type="submit" className="plain" aria-label={`Remove the note ${note.title}`}>
                    Remove
                  </button>
                </form>
              </div>
            </li>
          ))}
        </ul>
      </section>
      {questions.length > 0 && (
        <section aria-labelledby="questions-title">
          <h2 id="questions-title">Asked before</h2>
          <dl>
            {questions.map((asked) => (
              <div key={asked.id} className="card">
                <dt>{asked.text}</dt>
                <dd>
                  {excerpt(asked.answer)} <span className="quiet">({SOURCES[asked.source]})</span>
                </dd>
              </div>
            ))}
          </dl>
        </section>
      )}
    </>
  );
}
