"""Making a release live, and looking after what it leaves behind. `deploy` tells the story."""
