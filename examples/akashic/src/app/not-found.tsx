import Link from "next/link";

export default function NotFound() {
  return (
    <p>
      There is nothing here. <Link href="/">Back to the notes</Link>
    </p>
  );
}
