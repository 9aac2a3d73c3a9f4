import Link from "next/link";
import { places } from "@/courses/rules";
import { allCourses } from "@/courses/store";

type Props = { searchParams: Promise<{ left?: string }> };

export default async function Courses({ searchParams }: Props) {
  const [courses, { left }] = await Promise.all([allCourses(), searchParams]);
  return (
    <>
      <h1>Courses</h1>
      {left && (
        <p className="notice" role="status">
          You gave up your place. Whoever waited longest has it now.
        </p>
      )}
      {courses.length === 0 && <p>There are no courses yet.</p>}
      <ul className="cards">
        {courses.map((course) => (
          <li key={course.slug}>
            <h2>
              <Link href={`/courses/${course.slug}`}>{course.title}</Link>
            </h2>
            <p>{course.summary}</p>
            <p className="quiet">
              {course.hours} hours · {places(course)}
            </p>
          </li>
        ))}
      </ul>
    </>
  );
}
