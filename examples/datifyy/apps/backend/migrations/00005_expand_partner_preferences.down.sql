DROP TABLE partner_preferences;
