"use client";

export default function Failed({ reset }: { reset: () => void }) {
  return (
    <>
      <h2>That did not work</h2>
      <p role="alert">It is our fault, and it has been noted.</p>
      <button type="button" onClick={reset}>
        Try again
      </button>
    </>
  );
}
