"""`rssn study`: from a study file to the table of the COMP-Track."""
