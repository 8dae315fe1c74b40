"""Many clients who know what they must see, while processes of the server are killed."""
