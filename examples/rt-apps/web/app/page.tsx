import Link from "next/link";

export default function Home() {
  return (
    <section className="hero">
      <h1>One account. All your apps.</h1>
      <p>Register, say who you are, and take your profile wherever you go.</p>
      <p className="actions">
        <Link href="/register" className="button">
          Create an account
        </Link>
        <Link href="/login">I have one</Link>
      </p>
    </section>
  );
}
