DROP TABLE matches;
DROP TABLE likes;
