DROP TABLE user_interests;
DROP TABLE interests;
