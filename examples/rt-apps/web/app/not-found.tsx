import Link from "next/link";

export default function NotFound() {
  return (
    <section className="hero">
      <h1>There is nothing here</h1>
      <p>
        The page you asked for does not exist. <Link href="/">Start over</Link>.
      </p>
    </section>
  );
}
