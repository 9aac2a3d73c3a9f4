import Link from "next/link";

export default function NotFound() {
  return (
    <>
      <h1>There is nothing here</h1>
      <p>
        The course or the receipt is not known. <Link href="/">See all courses</Link>
      </p>
    </>
  );
}
