import type { Metadata } from "next";
import Link from "next/link";
import { notFound } from "next/navigation";
import { enrolmentByReceipt } from "@/courses/store";

type Props = { params: Promise<{ receipt: string }> };

// The address is the key to the place: no search engine and no other site is to learn it.
export const metadata: Metadata = { title: "Your place", robots: { index: false }, referrer: "no-referrer" };

export default async function ReceiptPage({ params }: Props) {
  const { receipt } = await params;
  const found = await enrolmentByReceipt(receipt);
  if (!found) notFound();
  const { standing } = found;
  return (
    <>
      <h1>{standing.place === "enrolled" ? "You have a place" : "You are on the waiting list"}</h1>
      <p role="status">
        {found.name}, {standing.place === "enrolled" ? "you are enrolled in" : `you are number ${standing.position} waiting for`}{" "}
        <Link href={`/courses/${found.slug}`}>{found.course}</Link>.
      </p>
      <p className="quiet">Keep this page&rsquo;s address: it is how you give your place up.</p>
      <form action={`/enrolments/${encodeURIComponent(receipt)}/leave`} method="post">
        <button type="submit" className="plain">
          Give up my place
        </button>
      </form>
    </>
  );
}
