"""What a team needs beside the dbt project that it has: found out, proposed, and written into a folder of its own."""
