"""All that is drawn: noise, and the order of rows, each number by its purpose and its place."""
