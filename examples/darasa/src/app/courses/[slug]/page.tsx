import type { Metadata } from "next";
import { notFound } from "next/navigation";
import { cache } from "react";
import { formToken } from "@/bots";
import { EnrolForm } from "@/components/EnrolForm";
import { problemText } from "@/courses/answers";
import { placesLeft, places } from "@/courses/rules";
import { courseBySlug } from "@/courses/store";
import { serverEnv } from "@/data/env/server";

type Props = { params: Promise<{ slug: string }>; searchParams: Promise<{ problem?: string }> };

const course = cache(courseBySlug);

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const found = await course((await params).slug);
  return found ? { title: found.title, description: found.summary } : {};
}

export default async function CoursePage({ params, searchParams }: Props) {
  const [{ slug }, { problem }] = await Promise.all([params, searchParams]);
  const found = await course(slug);
  if (!found) notFound();
  return (
    <>
      <h1>{found.title}</h1>
      <p>{found.summary}</p>
      <p className="quiet">
        {found.hours} hours · {places(found)}
      </p>
      {found.open && (
        <section id="enrol" aria-labelledby="enrol-title">
          <h2 id="enrol-title">{placesLeft(found) ? "Take a place" : "Join the waiting list"}</h2>
          <EnrolForm
            action={`/courses/${found.slug}/enrol`}
            token={formToken(serverEnv().FORM_SECRET, found.slug, Date.now())}
            problem={problemText(problem)}
          />
        </section>
      )}
    </>
  );
}
