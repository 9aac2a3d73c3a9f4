-- CreateTable
CREATE TABLE "notes" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "owner" TEXT NOT NULL,
    "title" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "tags" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "notes_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "notes_by_owner" ON "notes"("owner", "created_at" DESC);

-- What Prisma's schema has no word for: the words of a note, as `wordsOf` in src/notes/store.ts asks for them.
CREATE INDEX "notes_words" ON "notes" USING GIN (to_tsvector('english', "title" || ' ' || "body"));
