"""One agent alone, killed and fenced again and again."""
