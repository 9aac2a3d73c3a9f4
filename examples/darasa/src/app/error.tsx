"use client";

export default function Failed({ reset }: { reset: () => void }) {
  return (
    <>
      <h1>That did not work</h1>
      <p role="alert">It is our fault, and it has been noted.</p>
      <button type="button" onClick={reset}>
        Try again
      </button>
    </>
  );
}
